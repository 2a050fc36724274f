"""Distances between what enters the heads: L1 and L2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from utils.distillation.outputs import HeadOutputs

Norm = Literal[1, 2]


def logit_distance(heads: Sequence[HeadOutputs], norm: Norm, *, plain: bool = False) -> Tensor:
    """Mean |student - teacher| (norm 1) or (student - teacher)^2 (norm 2) of logits, summed over heads.

    Per head: the mean over all places for objectness, and for box and classes the mean over places weighted by the
    teacher's objectness, sum(p d) / sum(p); the three are added. Without the weight background, which is nearly
    everything, would decide what boxes and classes become (Chen et al., 2017, on the imbalance of detection).

    Args:
        plain: the mean over all entries of all places instead.

    Returns:
        A tensor without dimensions; 0 where teacher and student agree.
    """
    return sum((_of_head(head, norm, plain) for head in heads), heads[0].student.new_zeros(()))


def _of_head(head: HeadOutputs, norm: Norm, plain: bool) -> Tensor:
    teacher = head.teacher_logits().detach()
    gap = (head.student_logits() - teacher).abs()
    if norm == 2:
        gap = gap.square()
    if plain:
        return gap.mean()
    sure = teacher[..., 4].sigmoid()
    total = sure.sum().clamp(min=torch.finfo(sure.dtype).tiny)
    box, classes = ((gap[..., part].mean(-1) * sure).sum() / total for part in (slice(0, 4), slice(5, None)))
    return gap[..., 4].mean() + box + classes
