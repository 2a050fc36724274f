"""The moving average of a network in training, whose decay grows with the steps."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from models import Darknet


class ModelEma:
    """Keeps average = d * average + (1 - d) * network with d = decay * (1 - exp(-t / ramp)) after t updates.

    Early on the average forgets fast, so that the initial weights do not stay in it: a short training is not worse for it.
    It covers parameters, batch norm statistics included; whole-number buffers are copied.

    Args:
        model: a Darknet, also within a DistributedDataParallel, on its device.
        decay: of a long training.
        ramp: updates after which it has reached 63 % of that; 0 means from the first one on.

    Attributes:
        model: the average, a Darknet in eval mode that cannot learn, on the device of the network.
        updates: how many there were.
    """

    def __init__(self, model: nn.Module, decay: float = 0.9999, ramp: float = 2000) -> None:
        if not (0 <= decay < 1 and ramp >= 0):
            raise ValueError(f"a decay lies in [0, 1) and a ramp is not negative, got {decay} and {ramp}")
        self.decay, self.ramp, self.updates = decay, ramp, 0
        source = _darknet(model)
        as_they_are = {id(part): part for part in (source.network, *source.network.layers)}  # frozen, and many
        self.model: Darknet = copy.deepcopy(source, as_they_are)
        self.model.eval().requires_grad_(False)

    def decay_at(self, update: int) -> float:
        """The decay of an update, counted from 1."""
        return self.decay * (1 - math.exp(-update / self.ramp)) if self.ramp else self.decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the network; call it once behind each optimiser step."""
        self.updates += 1
        source = _darknet(model)
        averages, values = [], []
        for mine, theirs in zip(_tensors(self.model), _tensors(source), strict=True):
            if mine.is_floating_point():
                averages.append(mine)
                values.append(theirs.detach().to(mine.device, mine.dtype))
            else:
                mine.copy_(theirs)
        torch._foreach_lerp_(averages, values, 1 - self.decay_at(self.updates))
        self.model.header = source.header

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values, from which `load_state_dict` goes on exactly; the tensors are copies."""
        return {"updates": self.updates, "model": {name: value.clone() for name, value in self.model.state_dict().items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave for a network of the same cfg, on any device."""
        self.model.load_state_dict(state["model"])
        self.updates = int(state["updates"])


def _darknet(model: nn.Module) -> Darknet:
    return cast(Darknet, getattr(model, "module", model))


def _tensors(model: nn.Module) -> list[Tensor]:
    """Parameters and buffers, each once, in a fixed order."""
    return [*model.parameters(), *model.buffers()]
