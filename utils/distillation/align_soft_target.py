"""AlignSoftTarget: distillation in the scores that a dense detector is trained with, after BCKD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from utils.detection import box_loss, decode_region, decode_yolo
from utils.detection.focal_loss import cross_entropy
from utils.distillation.outputs import HeadOutputs

SCORE_WEIGHT, BOX_WEIGHT = 1.0, 4.0  # BCKD's


@dataclass(frozen=True)
class AlignSoftTarget:
    """The three parts, unweighted tensors without dimensions, each 0 where teacher and student agree."""

    classes: Tensor
    objectness: Tensor
    boxes: Tensor


def align_soft_target_loss(heads: Sequence[HeadOutputs]) -> AlignSoftTarget:
    """Soft targets for each score by itself, and boxes where the scores differ.

    Source: Yang et al., ICCV 2023 (BCKD, arXiv 2308.14286). A softmax over classes compares scores that a detector with
    sigmoids never uses; here each score has its own cross-entropy. With s = objectness x class (the score that Darknet
    reports), w = |s_t - s_s|, per place and summed over places and heads, divided by the number of positives:

        classes     sum over classes of w BCE(s_s, s_t)          the gradient goes through w, too, as in the released code
        objectness  |o_t - o_s| BCE(o_s, o_t)                    a detector of the YOLO kind has one more score
        boxes       max over classes of w (1 - GIoU(b_s, b_t))   no gradient through w

    In the released code the cross-entropy of equal scores is their entropy, and times w = 0.
    """
    count = max(1, sum(len(head.positives) for head in heads))
    zero = heads[0].student.new_zeros(())
    classes, objectness, boxes = zero, zero, zero
    for head in heads:
        ours, theirs = _decoded(head, head.student), _decoded(head, head.teacher).detach()
        score, wanted = ours[:, 4:5] * ours[:, 5:], theirs[:, 4:5] * theirs[:, 5:]
        apart = (wanted - score).abs()
        classes = classes + (apart * cross_entropy(score, wanted, form="probabilities")).sum()
        gap = (theirs[:, 4] - ours[:, 4]).abs()
        objectness = objectness + (gap * cross_entropy(ours[:, 4], theirs[:, 4], form="probabilities")).sum()
        weight = apart.detach().amax(-1)
        boxes = boxes + (weight * box_loss(ours[:, :4], theirs[:, :4], "giou")).sum()
    return AlignSoftTarget(classes / count, objectness / count, boxes / count)


def _decoded(head: HeadOutputs, raw: Tensor) -> Tensor:
    """(places, 5 + classes): boxes in pixels, objectness, class probabilities."""
    options = head.options
    stride = (head.size[1] / raw.shape[3], head.size[0] / raw.shape[2])
    if options.kind == "region":
        decoded = decode_region(raw, anchors=options.anchors, stride=stride, softmax=options.softmax)
    else:
        decoded = decode_yolo(raw, anchors=options.anchors, stride=stride, scale_x_y=options.scale_x_y,
                              new_coords=options.new_coords)
    return decoded.flatten(0, 1)
