"""What a training makes small: the detection loss of a batch, and what a teacher adds to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models import Darknet
from utils.detection import DetectionLoss
from utils.distillation import Distillation, teacher_remarks


@dataclass(frozen=True)
class BatchLoss:
    """total: on which to call backward. told: its parts by name, for reports. targets: boxes that a head answers for."""

    total: Tensor
    told: Mapping[str, Tensor]
    targets: int


class Objective:
    """The loss of a batch.

    Args:
        loss: of the network alone.
        distillation: brings a teacher, or None.
        epochs: in all, by which the teacher's weight changes.
    """

    def __init__(self, loss: DetectionLoss, distillation: Distillation | None, epochs: int) -> None:
        self.loss, self.distillation, self.epochs = loss, distillation, epochs

    def trained(self, model: Darknet) -> nn.Module:
        """What is run forward: the network, or with a teacher the student, which holds it."""
        return model if self.distillation is None else self.distillation.student

    @property
    def adaptors(self) -> tuple[nn.Parameter, ...]:
        """What learns beside the network."""
        return () if self.distillation is None else tuple(self.distillation.student.adaptors.parameters())

    @property
    def draws(self) -> bool:
        """Whether what a teacher adds draws random numbers."""
        return self.distillation is not None and self.distillation.student.draws

    @property
    def rests(self) -> bool:
        """Whether there is a teacher, and epochs in which it does not count."""
        return self.distillation is not None and not all(map(self._taught, range(self.epochs)))

    def __call__(self, trained: nn.Module, images: Tensor, targets: Tensor, epoch: int, *, pictures: Tensor,
                 autocast: Callable[[], AbstractContextManager[Any]]) -> BatchLoss:
        """Run forward and compare.

        Args:
            trained: as `trained`, perhaps wrapped for several processes.
            images: (N, C, H, W) RGB in [0, 1]; pictures: the same as they were read, uint8 on the CPU.
            targets: as in `DetectionLoss`. autocast: around the forward pass.
        """
        size = images.shape[2], images.shape[3]
        if self.distillation is None:
            with autocast():
                raw = trained(images)
            parts = self.loss(raw, targets, size)
            total, added = parts.total, {}
        else:
            lesson = self.distillation.lesson(images, pictures) if self._taught(epoch) else None
            with autocast():
                raw, made = trained(images, lesson is not None)
            parts = self.loss(raw, targets, size)
            total, added = parts.total, {"soft": torch.zeros_like(parts.total)}  # a column also where the teacher rests
            if lesson is not None:
                soft = self.distillation.soft(raw, made, lesson, parts, targets, size, epoch, self.epochs)
                total, added = total + soft.total, dict(soft.log)
        names = (*self.loss.part_names, "total")
        told = dict(zip(names, (parts.box, parts.objectness, parts.classes, total), strict=True))
        return BatchLoss(total, told | added, parts.targets)

    def remarks(self, epoch: int, losses: Mapping[str, float]) -> tuple[str, ...]:
        """On the teacher, in the first epoch in which it counts."""
        first = self._taught(epoch) and not any(map(self._taught, range(epoch)))
        return teacher_remarks(losses) if first else ()

    def _taught(self, epoch: int) -> bool:
        return self.distillation is not None and self.distillation.teaches(epoch, self.epochs)
