"""The teacher: a network that only answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models import Darknet
from utils.distillation.teacher_cache import TeacherCache
from utils.layers import channels_last


@dataclass(frozen=True)
class Lesson:
    """What the teacher says about a batch: per head (N, A, gy, gx, 5 + classes), per pair of layers a map (N, C, H, W)."""

    heads: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]


class Teacher:
    """Answers in eval() and without gradients, in the precision that the student computes in.

    Its statistics and weights never change. In full precision its batch norms are folded into the convolutions, which
    gives the same numbers to rounding in less time.

    Args:
        model: on its device. It is the teacher's from now on.
        heads: layer indices, in the order of the student's heads.
        maps: layer indices, in the order of the student's.
        channels: per map the channels to keep, int64, or None for all.
        name: by which a checkpoint knows it again.
        autocast: around its forward pass; the student's. None is full precision.
        cache: remembers answers, or None.
    """

    def __init__(self, model: Darknet, heads: Sequence[int], maps: Sequence[int] = (),
                 channels: Sequence[Tensor | None] | None = None, *, name: str = "",
                 autocast: Callable[[], AbstractContextManager[Any]] | None = None, cache: TeacherCache | None = None) -> None:
        model.eval().requires_grad_(False)
        if autocast is None:
            model.fuse()
        else:
            channels_last(model)
        self.model, self.heads, self.maps, self.name, self.cache = model, tuple(heads), tuple(maps), name, cache
        self.channels = tuple(channels) if channels is not None else (None,) * len(self.maps)
        self._autocast = autocast

    def __call__(self, images: Tensor, pictures: Tensor | None = None) -> Lesson:
        """Answer.

        Args:
            images: (N, C, H, W), RGB in [0, 1], on the device of the network.
            pictures: the same as uint8 on the CPU, by which a cache knows them; None asks the network.
        """
        if self.cache is None or pictures is None:
            return self._lesson(self._computed(images))
        known = [self.cache.get(picture) for picture in pictures]
        missing = [number for number, one in enumerate(known) if one is None]
        if missing:
            fresh = [one.cpu() for one in self._computed(images[missing])]
            for place, number in enumerate(missing):
                answer = [one[place] for one in fresh]
                known[number] = answer
                self.cache.put(pictures[number], answer)
        whole = [one for one in known if one is not None]
        return self._lesson([torch.stack(parts).to(images.device) for parts in zip(*whole, strict=True)])

    @torch.no_grad()
    def _computed(self, images: Tensor) -> list[Tensor]:
        """Heads, then maps, float32."""
        layers = (*self.heads, *self.maps)
        if self._autocast is None:
            outputs = self.model.forward_layers(images, layers)
        else:
            with self._autocast():
                outputs = self.model.forward_layers(images, layers)
        maps = [outputs[index] if channels is None else outputs[index][:, channels]
                for index, channels in zip(self.maps, self.channels, strict=True)]
        return [one.float() for one in (*(outputs[index] for index in self.heads), *maps)]

    def _lesson(self, parts: Sequence[Tensor]) -> Lesson:
        return Lesson(tuple(parts[:len(self.heads)]), tuple(parts[len(self.heads):]))
