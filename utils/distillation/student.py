"""The student as a training with a teacher runs it: the network, and the layers that its maps need to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from models import Darknet
from utils.distillation.feature_losses import FeatureLoss
from utils.distillation.methods import MethodName

Made = Mapping[str, Sequence[Tensor]]
"""By method, per pair of layers, what is compared with the teacher's map."""


class Student(nn.Module):
    """One module for both, so that several processes share the gradients of both.

    Args:
        model: the network that is trained; a part of this, not a copy.
        maps: layer indices of the maps that are compared.
        channels: per map the channels that are compared, int64, or None for all.
        losses: by method, one for each map.
    """

    def __init__(self, model: Darknet, maps: Sequence[int], channels: Sequence[Tensor | None],
                 losses: Mapping[MethodName, Sequence[FeatureLoss]]) -> None:
        super().__init__()
        self.model, self.maps = model, tuple(maps)
        self.losses = cast(Mapping[MethodName, Sequence[FeatureLoss]],
                           nn.ModuleDict({name: nn.ModuleList(each) for name, each in losses.items()}))
        self._channels = tuple(None if one is None or len(one) == model.network.layers[layer].shape.channels else one
                               for layer, one in zip(self.maps, channels, strict=True))

    def forward(self, images: Tensor, taught: bool = True) -> tuple[list[Tensor], Made]:
        """(raw outputs of the heads, what is compared); nothing is compared where `taught` is False."""
        heads = [head.index for head in self.model.network.heads]
        outputs = self.model.forward_layers(images, (*heads, *(self.maps if taught else ())))
        raw = [outputs[index] for index in heads]
        if not taught:
            return raw, {}
        maps = [outputs[index] if channels is None else outputs[index][:, channels]
                for index, channels in zip(self.maps, self._channels, strict=True)]
        return raw, {name: [loss(one) for loss, one in zip(each, maps, strict=True)] for name, each in self.losses.items()}

    @property
    def adaptors(self) -> nn.ModuleDict:
        """The layers that learn beside the network."""
        return cast(nn.ModuleDict, self.losses)

    @property
    def draws(self) -> bool:
        """Whether a forward pass draws random numbers of its own."""
        return "mgd" in self.losses

    def initialise(self, seed: int) -> None:
        """Draw the adaptors anew, without touching torch's own generator."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for module in self.adaptors.modules():
                if isinstance(module, nn.Conv2d):
                    module.reset_parameters()
