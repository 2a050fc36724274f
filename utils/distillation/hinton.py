"""Hinton's loss over whole rows of the heads, as the ancestor's first strategy has it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.distillation.outputs import HeadOutputs
from utils.distillation.softened import softened_divergence


def hinton_loss(heads: Sequence[HeadOutputs], temperature: float = 3.0) -> Tensor:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), summed over all rows of all heads, per image.

    Source: Hinton, Vinyals and Dean, 2015 (arXiv 1503.02531), as the ancestor applies it (distillation_loss1). A row is
    all that a place says, x y w h objectness classes, and the softmax runs over all of it. So the numbers of a box
    compete with those of its classes, which is no model of probabilities; it is kept because old runs used it.

    Returns:
        A tensor without dimensions; 0 where teacher and student agree.
    """
    student = torch.cat([head.student_logits().flatten(0, -2) for head in heads])
    teacher = torch.cat([head.teacher_logits().flatten(0, -2) for head in heads])
    return softened_divergence(student, teacher, temperature) / heads[0].images
