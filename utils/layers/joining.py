"""Layers that read several maps: [route], [shortcut], [scale_channels], [sam]."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.darknet import Layer
from utils.layers.activations import Activate
from utils.layers.base import DarknetLayer, Surroundings, same_size

_EPSILON = 1e-4  # of the weights' normalisation, shortcut_multilayer_cpu in blas.c


class RouteLayer(DarknetLayer):
    """Channels one after the other; with groups=g, block `group_id` of the g equal blocks of EACH input (route_layer.c).

    (N, C_i, H, W) ... -> (N, sum of C_i / g, H, W). A route of one whole layer gives that very tensor back.
    """

    def forward(self, *inputs: Tensor) -> Tensor:
        groups, group_id = self.section.options.groups, self.section.options.group_id
        same_size(self, inputs)
        if groups > 1:
            inputs = tuple(x[:, (width := x.shape[1] // groups) * group_id:width * (group_id + 1)] for x in inputs)
        return inputs[0] if len(inputs) == 1 else torch.cat(inputs, 1)


class ShortcutLayer(DarknetLayer):
    """A sum, weighted or not, then an activation (shortcut_layer.c, blas.c: shortcut_multilayer_cpu).

    inputs = (previous, from 1, from 2, ...), sizes H x W equal; the output has the previous layer's channels, and of an
    input with another number of channels only the first min(C) are added.

    Attributes:
        weight: None, (n+1,) or (n+1, C); normalised to max(w, 0) / (1e-4 + sum) or exp(w - max) / (1e-4 + sum) over
            the n+1 inputs. (Fused Darknet takes max(w, 0.001); we keep the unfused formula.)
    """

    def __init__(self, section: Layer, *, darknet_cpu: bool = False) -> None:
        super().__init__(section)
        options, inputs = section.options, len(section.inputs)
        self.weight: nn.Parameter | None = None
        if options.weights_type != "none":
            shape = (inputs,) if options.weights_type == "per_feature" else (inputs, section.shape.channels)
            self.weight = nn.Parameter(torch.empty(shape))
        self.activate = Activate(options.activation, "shortcut", darknet_cpu=darknet_cpu)

    def arrays(self) -> Mapping[str, Tensor]:
        return {} if self.weight is None else {"weight": self.weight}

    def forward(self, *inputs: Tensor) -> Tensor:
        same_size(self, inputs)
        if self.weight is not None:
            inputs = self._weighted(inputs)
        total = inputs[0]
        for index, x in enumerate(inputs[1:]):
            shared = min(total.shape[1], x.shape[1])
            if total.shape[1] == x.shape[1]:
                total = total + x
            else:
                total = total.clone() if index == 0 else total
                total[:, :shared] += x[:, :shared]
        return self.activate(total)

    def _weighted(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        normalised = self.normalised_weight()
        if normalised.dim() == 1:
            return tuple(x * w for x, w in zip(inputs, normalised, strict=True))
        widths = [min(x.shape[1], normalised.shape[1]) for x in inputs]
        return tuple(x[:, :width] * w[:width, None, None]
                     for x, w, width in zip(inputs, normalised, widths, strict=True))

    def normalised_weight(self) -> Tensor:
        """The factors of the inputs, (n+1,) or (n+1, C); only for a weighted sum."""
        weight = self.weight
        assert weight is not None
        if self.section.options.weights_normalization == "relu":
            powers = F.relu(weight)
        elif self.section.options.weights_normalization == "softmax":
            powers = torch.exp(weight - weight.amax(0))
        else:
            return weight
        return powers / (_EPSILON + powers.sum(0))


class ScaleChannelsLayer(DarknetLayer):
    """[scale_channels]: inputs[1] (N, C, H, W) times inputs[0], (N, C, 1, 1), or (N, 1, H, W) with scale_wh=1."""

    def __init__(self, section: Layer, *, darknet_cpu: bool = False) -> None:
        super().__init__(section)
        self.activate = Activate(section.options.activation, "scale_channels", darknet_cpu=darknet_cpu)

    def forward(self, scale: Tensor, x: Tensor) -> Tensor:
        if self.section.options.scale_wh:
            same_size(self, (scale, x))
        elif scale.shape[-2:] != (1, 1):
            raise self.error(f"scales by a map of {scale.shape[-2]}x{scale.shape[-1]}, which should be 1x1",
                             "put an [avgpool] in front of it")
        return self.activate(x * scale)


class SamLayer(DarknetLayer):
    """[sam], spatial attention: inputs[0] times inputs[1], element by element."""

    def __init__(self, section: Layer, *, darknet_cpu: bool = False) -> None:
        super().__init__(section)
        self.activate = Activate(section.options.activation, "sam", darknet_cpu=darknet_cpu)

    def forward(self, attention: Tensor, x: Tensor) -> Tensor:
        same_size(self, (attention, x))
        return self.activate(attention * x)


def build_route(section: Layer, _: Surroundings) -> DarknetLayer:
    """[route] as a module."""
    return RouteLayer(section)


def build_shortcut(section: Layer, around: Surroundings) -> DarknetLayer:
    """[shortcut] as a module."""
    return ShortcutLayer(section, darknet_cpu=around.darknet_cpu)


def build_scale_channels(section: Layer, around: Surroundings) -> DarknetLayer:
    """[scale_channels] as a module."""
    return ScaleChannelsLayer(section, darknet_cpu=around.darknet_cpu)


def build_sam(section: Layer, around: Surroundings) -> DarknetLayer:
    """[sam] as a module."""
    return SamLayer(section, darknet_cpu=around.darknet_cpu)
