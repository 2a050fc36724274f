"""Layers of one line: [activation], [dropout], [empty], [softmax], [connected], [implicit]."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.darknet import Layer
from utils.layers.activations import Activate
from utils.layers.base import DarknetLayer, Surroundings
from utils.layers.normalisation import batch_norm, batch_norm_arrays


class ActivationLayer(DarknetLayer):
    """[activation]: the activation alone; its input stays as it was."""

    def __init__(self, section: Layer, *, darknet_cpu: bool = False) -> None:
        super().__init__(section)
        self.activate = Activate(section.options.activation, "activation", darknet_cpu=darknet_cpu, keep_input=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activate(x)


class DropoutLayer(DarknetLayer):
    """[dropout]: nothing in eval; in training a share `probability` becomes 0 and the rest grows by 1/(1 - p)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.section.options.probability, self.training) if self.training else x


class EmptyLayer(DarknetLayer):
    """[empty]: gives its input back."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class SoftmaxLayer(DarknetLayer):
    """[softmax] over all numbers of an image, in `groups` equal runs, of x / temperature; the shape stays."""

    def forward(self, x: Tensor) -> Tensor:
        options = self.section.options
        runs = x.reshape(x.shape[0], options.groups, -1) / options.temperature
        return runs.softmax(2).reshape(x.shape)


class ConnectedLayer(DarknetLayer):
    """[connected]: (N, C, H, W), read as C*H*W numbers, -> (N, output, 1, 1). It fixes the network's input size."""

    def __init__(self, section: Layer, *, darknet_cpu: bool = False) -> None:
        super().__init__(section)
        options, shape = section.options, section.input_shapes[0]
        inputs = shape.channels * shape.height * shape.width
        self.weight = nn.Parameter(torch.empty(options.outputs, inputs))
        self.bias = None if options.batch_normalize else nn.Parameter(torch.empty(options.outputs))
        self.bn = batch_norm(options.outputs) if options.batch_normalize else None
        self.activate = Activate(options.activation, "connected", darknet_cpu=darknet_cpu)

    def arrays(self) -> Mapping[str, Tensor]:
        if self.bn is None:
            return {"weight": self.weight} if self.bias is None else {"bias": self.bias, "weight": self.weight}
        return {**batch_norm_arrays(self.bn), "weight": self.weight}

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], -1)
        if flat.shape[1] != self.weight.shape[1]:
            raise self.error(f"reads {self.weight.shape[1]} numbers and got {flat.shape[1]}",
                             "use the image size that the cfg names: a [connected] layer cannot follow another one")
        x = F.linear(flat, self.weight, self.bias)[:, :, None, None]
        return self.activate(x if self.bn is None else self.bn(x))


class ImplicitLayer(DarknetLayer):
    """[implicit]: its weights, (filters, atoms), as the map (N, filters, atoms, 1). Of x, the image, only N counts."""

    def __init__(self, section: Layer) -> None:
        super().__init__(section)
        self.weight = nn.Parameter(torch.empty(section.options.filters, section.options.atoms))

    def arrays(self) -> Mapping[str, Tensor]:
        return {"weight": self.weight}

    def forward(self, x: Tensor) -> Tensor:
        return self.weight[None, :, :, None].expand(x.shape[0], -1, -1, -1)


def build_activation(section: Layer, around: Surroundings) -> DarknetLayer:
    """[activation] as a module."""
    return ActivationLayer(section, darknet_cpu=around.darknet_cpu)


def build_dropout(section: Layer, _: Surroundings) -> DarknetLayer:
    """[dropout] as a module."""
    return DropoutLayer(section)


def build_empty(section: Layer, _: Surroundings) -> DarknetLayer:
    """[empty] as a module."""
    return EmptyLayer(section)


def build_softmax(section: Layer, _: Surroundings) -> DarknetLayer:
    """[softmax] as a module."""
    return SoftmaxLayer(section)


def build_connected(section: Layer, around: Surroundings) -> DarknetLayer:
    """[connected] as a module."""
    return ConnectedLayer(section, darknet_cpu=around.darknet_cpu)


def build_implicit(section: Layer, _: Surroundings) -> DarknetLayer:
    """[implicit] as a module."""
    return ImplicitLayer(section)
