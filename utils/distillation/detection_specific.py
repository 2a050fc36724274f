"""Distillation made for detectors: soft classes everywhere, and boxes bounded by the teacher's; the ancestor's default."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.detection import predicted_boxes
from utils.distillation.outputs import HeadOutputs
from utils.distillation.softened import softened_divergence

CLASS_WEIGHT, BOX_WEIGHT = 1e-4, 1e-3  # the ancestor's Lambda_cls and Lambda_box


@dataclass(frozen=True)
class DetectionSpecific:
    """The two parts, unweighted tensors without dimensions, and which share of the true boxes the second one pulls at.

    classes: T^2 KL over objectness and classes of every place, per image. boxes: squared distances, summed.
    regression_ratio: chosen / all positives; 0 where there are none.
    """

    classes: Tensor
    boxes: Tensor
    regression_ratio: float


def detection_specific_loss(heads: Sequence[HeadOutputs], temperature: float = 3.0, margin: float = 0.0) -> DetectionSpecific:
    """Soft classes, and teacher-bounded regression.

    Source: Chen et al., NIPS 2017, as the ancestor applies it (distillation_loss2):

        classes  sum over heads of T^2 KL(softmax(teacher / T) || softmax(student / T)) / images, the softmax over
                 objectness and classes together, for every anchor of every cell
        boxes    sum of d_s over the positives where d_s + margin > d_t; d is the squared distance of a predicted box to
                 the true one, x, y, w, h in cells, decoded as the detection loss decodes (scale_x_y, new_coords)

    So a box that is worse than the teacher's is pulled once more to the truth, never to the teacher.
    """
    total = heads[0].student.new_zeros(()) if heads else torch.zeros(())
    classes, boxes, chosen, positives = total, total, 0, 0
    for head in heads:
        classes = classes + softened_divergence(head.student_logits()[..., 4:], head.teacher_logits()[..., 4:],
                                                temperature) / head.images
        ours, theirs = _distance(head, head.student), _distance(head, head.teacher).detach()
        worse = ours.detach() + margin > theirs
        boxes = boxes + torch.where(worse, ours, 0).sum()
        chosen += int(worse.sum())
        positives += len(worse)
    return DetectionSpecific(classes, boxes, chosen / positives if positives else 0.0)


def _distance(head: HeadOutputs, raw: Tensor) -> Tensor:
    """(m,): squared distance of each positive's box to its true one, in cells."""
    boxes = predicted_boxes(head.options, head.rows(raw), head.positives, raw, head.size)
    return (boxes - head.positives.truth).square().sum(-1)
