"""Boxes as tensors: the two ways to write them, clipping, and how much each overlaps each."""

from __future__ import annotations

import torch
from torch import Tensor


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """(..., 4) centre x, centre y, width, height -> (..., 4) left, top, right, bottom; any unit."""
    centre, half = boxes[..., :2], boxes[..., 2:4] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """(..., 4) left, top, right, bottom -> (..., 4) centre x, centre y, width, height; any unit."""
    first, second = boxes[..., :2], boxes[..., 2:4]
    return torch.cat(((first + second) / 2, second - first), dim=-1)


def clip_boxes(boxes: Tensor, width: float, height: float) -> Tensor:
    """Move the corners of (..., 4) xyxy boxes into [0, width] x [0, height]; a box wholly outside gets no area."""
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every box of `a` with every box of `b`.

    Two boxes whose union has no area have an IoU of 0. There is no +1: a box from 3 to 5 is 2 wide, as in Darknet
    (box.c, box_iou) and COCO, and unlike in the development kit of Pascal VOC.

    Args:
        a, b: xyxy boxes in one unit, (n, 4) and (m, 4).

    Returns:
        (n, m) in [0, 1]; NaN where a coordinate is NaN.
    """
    first = torch.maximum(a[:, None, :2], b[None, :, :2])
    second = torch.minimum(a[:, None, 2:4], b[None, :, 2:4])
    common = (second - first).clamp(min=0).prod(-1)
    union = _area(a)[:, None] + _area(b)[None, :] - common
    return torch.where(union == 0, torch.zeros_like(common), common / union.where(union != 0, torch.ones_like(union)))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
