"""How alike a predicted box and its true one are, as a number that can be trained: IoU, GIoU, DIoU, CIoU."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

IouKind = Literal["iou", "giou", "diou", "ciou"]
IOU_KINDS: tuple[IouKind, ...] = ("iou", "giou", "diou", "ciou")

_SMALLEST_AREA = 1e-12  # what stands below a division; boxes are thousandths of an image or of a cell at least
_SMALLEST_SIDE = 1e-9


def iou_family(pred: Tensor, truth: Tensor, kind: IouKind) -> Tensor:
    """Similarity of each predicted box to its own true box.

        giou = iou - (enclosing area - union) / enclosing area          Rezatofighi et al., CVPR 2019
        diou = iou - (distance of centres / enclosing diagonal)^2       Zheng et al., AAAI 2020
        ciou = diou - alpha v,  v = 4/pi^2 (atan(w/h of truth) - atan(w/h of pred))^2,
               alpha = v / (v - iou + 1 + 1e-7), through which no gradient flows

    Every value and every gradient is finite, for boxes without a width or height too; the IoU of two boxes whose union
    has no area is 0.

    Args:
        pred, truth: (n, 4) centre x, centre y, width, height, in one unit; sizes not negative.
        kind: one of `IOU_KINDS`.

    Returns:
        (n,): iou in [0, 1], giou in [-1, 1], diou in (-1, 1], ciou below 1; 1 for equal boxes. As precise as `pred`.

    Raises:
        ValueError: another kind, or shapes that differ.
    """
    if kind not in IOU_KINDS:
        raise ValueError(f"kind={kind!r} is unknown; use one of {', '.join(IOU_KINDS)}")
    if pred.ndim != 2 or pred.shape[1] != 4 or pred.shape != truth.shape:
        raise ValueError(f"pred {tuple(pred.shape)} and truth {tuple(truth.shape)} must both be (n, 4)")
    pred_half, truth_half = pred[:, 2:] / 2, truth[:, 2:] / 2
    pred_first, pred_last = pred[:, :2] - pred_half, pred[:, :2] + pred_half
    truth_first, truth_last = truth[:, :2] - truth_half, truth[:, :2] + truth_half

    common = _area((torch.minimum(pred_last, truth_last) - torch.maximum(pred_first, truth_first)).clamp(min=0))
    union = _area(pred[:, 2:]) + _area(truth[:, 2:]) - common
    iou = common / union.clamp(min=_SMALLEST_AREA)
    if kind == "iou":
        return iou
    enclosing = torch.maximum(pred_last, truth_last) - torch.minimum(pred_first, truth_first)
    if kind == "giou":
        hull = _area(enclosing)
        return iou - (hull - union) / hull.clamp(min=_SMALLEST_AREA)
    distance = (pred[:, :2] - truth[:, :2]).square().sum(-1)
    diou = iou - distance / enclosing.square().sum(-1).clamp(min=_SMALLEST_AREA)
    if kind == "diou":
        return diou
    v = 4 / math.pi ** 2 * (_angle(truth) - _angle(pred)).square()
    with torch.no_grad():
        alpha = v / (v - iou + 1 + 1e-7)
    return diou - alpha * v


def box_loss(pred: Tensor, truth: Tensor, kind: IouKind) -> Tensor:
    """1 - `iou_family`: (n,), 0 for equal boxes."""
    return 1 - iou_family(pred, truth, kind)


def _area(sides: Tensor) -> Tensor:
    return sides[:, 0] * sides[:, 1]


def _angle(boxes: Tensor) -> Tensor:
    """atan(width / height)."""
    return torch.atan2(boxes[:, 2], boxes[:, 3].clamp(min=_SMALLEST_SIDE))
