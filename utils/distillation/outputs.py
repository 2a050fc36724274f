"""What student and teacher say about the same images, head by head: all that a logit loss looks at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from utils.detection import HeadLossOptions, Positives

_EDGE = 1e-7  # of probabilities whose logit is wanted: beyond +-16 none is told from another in float32


@dataclass(frozen=True)
class HeadOutputs:
    """One head of two networks.

    options: how both decode; they are the same in all that matters (see `matched_heads`).
    student, teacher: (N, A, gy, gx, 5 + classes) float32 or float64, as they enter the head. No gradient reaches the
    teacher's.
    positives: the student's places that answer for a true box.
    size: (height, width) of the images, pixels.
    """

    options: HeadLossOptions
    student: Tensor
    teacher: Tensor
    positives: Positives
    size: tuple[int, int]

    @property
    def images(self) -> int:
        """N."""
        return self.student.shape[0]

    def student_logits(self) -> Tensor:
        """(N, A, gy, gx, 5 + classes) before any logistic."""
        return _logits(self.student, self.options)

    def teacher_logits(self) -> Tensor:
        """The same of the teacher."""
        return _logits(self.teacher, self.options)

    def rows(self, of: Tensor) -> Tensor:
        """(m, 5 + classes): the positives' entries of a head's output."""
        places = self.positives
        return of[places.image, places.anchor, places.row, places.column]


@dataclass(frozen=True)
class Term:
    """One addend of what the teacher has to say.

    name: in logs. raw: as its formula says, without dimensions. weight: by which it is multiplied, its method's own
    constant and the user's factor together, before any schedule.
    """

    name: str
    raw: Tensor
    weight: float


def _logits(raw: Tensor, options: HeadLossOptions) -> Tensor:
    """With new_coords a logistic was applied before the head; everywhere else the numbers are logits already."""
    return torch.logit(raw, eps=_EDGE) if options.new_coords else raw
