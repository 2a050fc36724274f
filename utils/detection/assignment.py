"""Which anchors in which cells answer for which true box: the three rules by which detectors are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

AssignRule = Literal["iou", "ratio", "darknet"]
ASSIGN_RULES: tuple[AssignRule, ...] = ("iou", "ratio", "darknet")

Sizes = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class AnchorRule:
    """How one head chooses.

    anchors: this head's, (width, height). all_anchors, mask: those of the cfg, of which this head has the ones numbered
        in its mask; only the rule "darknet" looks at them. Empty: this head has all there are.
    unit: of the anchors; pixels of the network's input, or cells of the head's map in a [region].
    rule:
        "iou"      every anchor whose shape has an IoU above `threshold` with the box's, in the cell of the box's centre
                   (the ancestor's rule; shapes are compared as if they had one corner in common).
        "ratio"    every anchor of which no side is `threshold` times longer or shorter than the box's, in the cell of
                   the centre and in its up to two neighbours on the sides where the centre is nearer (YOLOv5's rule).
        "darknet"  the anchor with the best IoU of shapes among `all_anchors`, if it is one of this head's, and all of
                   this head's with an IoU above `threshold`; 1 or more: none (yolo_layer.c, iou_thresh).
    """

    anchors: Sizes
    threshold: float
    rule: AssignRule = "iou"
    unit: Literal["pixels", "cells"] = "pixels"
    all_anchors: Sizes = ()
    mask: tuple[int, ...] = ()


@dataclass(frozen=True)
class Positives:
    """The places of one head that answer for a box: m of them, ordered by target, then anchor; neighbours come behind.

    target: rows of the targets. image, anchor, row, column: where; int64. classes: of the box; int64.
    truth: (m, 4) centre x, centre y, width, height in cells, counted from the map's corner.
    """

    target: Tensor
    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    classes: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.target)


def assign(targets: Tensor, rules: Sequence[AnchorRule], grids: Sequence[tuple[int, int]], size: tuple[int, int], *,
           best_anchor: bool = True) -> list[Positives]:
    """Choose for each head the places that are trained to find each box.

    A centre on the right or lower border belongs to the last cell. A box without a width or a height is nobody's. The
    same numbers always give the same places, in the same order.

    Args:
        targets: (n, 6) image, class, centre x, centre y, width, height; the last four as parts of the input's size.
        rules: of each head.
        grids: (rows, columns) of each head's map.
        size: (height, width) of the network's input, pixels.
        best_anchor: a box that no anchor of any head would take goes to the one whose shape fits best, so that no
            object is trained as background. The ancestor and Darknet leave it out: False.

    Returns:
        Per head its positives.
    """
    shapes = targets[:, 4:6]
    real = (shapes > 0).all(-1, keepdim=True)
    own = [_relative(rule.anchors, rule, grid, size, shapes) for rule, grid in zip(rules, grids, strict=True)]
    taken = [_taken(shapes, anchors, rule, grid, size) & real
             for anchors, rule, grid in zip(own, rules, grids, strict=True)]
    if best_anchor:
        taken = _with_best_anchor(shapes, own, taken, real)
    return [_positives(targets, chosen, rule, grid) for chosen, rule, grid in zip(taken, rules, grids, strict=True)]


def shape_iou(shapes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of widths and heights, (n, 2) with (m, 2), boxes laid corner on corner: (n, m)."""
    common = torch.minimum(shapes[:, None], anchors[None]).prod(-1)
    union = shapes.prod(-1)[:, None] + anchors.prod(-1)[None] - common
    return common / union.clamp(min=torch.finfo(union.dtype).tiny)


def _relative(anchors: Sizes, rule: AnchorRule, grid: tuple[int, int], size: tuple[int, int], like: Tensor) -> Tensor:
    """(A, 2) anchors as parts of the network's input, in which all heads can be compared."""
    whole = size if rule.unit == "pixels" else grid
    return like.new_tensor(anchors).reshape(-1, 2) / like.new_tensor((whole[1], whole[0]))


def _taken(shapes: Tensor, anchors: Tensor, rule: AnchorRule, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """(n, A): whether a head's anchor takes a target."""
    if rule.rule == "ratio":
        ratio = shapes[:, None] / anchors[None]
        return torch.maximum(ratio, 1 / ratio).amax(-1) < rule.threshold
    iou = shape_iou(shapes, anchors)
    if rule.rule == "iou":
        return iou > rule.threshold
    everyone = _relative(rule.all_anchors or rule.anchors, rule, grid, size, shapes)
    best = shape_iou(shapes, everyone).argmax(-1, keepdim=True)
    mask = torch.tensor(rule.mask or range(len(anchors)), device=shapes.device)
    return (best == mask) | ((iou > rule.threshold) if rule.threshold < 1 else False)


def _with_best_anchor(shapes: Tensor, anchors: Sequence[Tensor], taken: Sequence[Tensor],
                      real: Tensor) -> list[Tensor]:
    every = torch.cat(list(taken), dim=1)
    best = shape_iou(shapes, torch.cat(list(anchors))).argmax(-1, keepdim=True)
    lonely = real & ~every.any(-1, keepdim=True)
    every = every | (lonely & (best == torch.arange(every.shape[1], device=best.device)))
    return list(every.split([chosen.shape[1] for chosen in taken], dim=1))


def _positives(targets: Tensor, chosen: Tensor, rule: AnchorRule, grid: tuple[int, int]) -> Positives:
    columns_rows = targets.new_tensor((grid[1], grid[0]))
    last = columns_rows - 1
    centres = targets[:, 2:4] * columns_rows
    cells = torch.minimum(centres.floor().clamp(min=0), last)
    target, anchor = chosen.nonzero(as_tuple=True)
    cell = cells[target]
    if rule.rule == "ratio":
        target, anchor, cell = _with_neighbours(target, anchor, cell, centres[target], last)
    image, classes = targets[target, 0].long(), targets[target, 1].long()
    truth = torch.cat((centres[target], targets[target, 4:6] * columns_rows), dim=1)
    column, row = cell.long().unbind(-1)
    return Positives(target, image, anchor, row, column, classes, truth)


def _with_neighbours(target: Tensor, anchor: Tensor, cell: Tensor, centre: Tensor,
                     last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The cell itself, then the one to the left or above, then right or below, where the centre is nearer to it."""
    within = centre - cell
    before, behind = (within < 0.5) & (cell > 0), (within > 0.5) & (cell < last)
    steps = cell.new_tensor(((-1, 0), (0, -1), (1, 0), (0, 1)))
    near = torch.cat((before, behind), dim=1)  # left, above, right, below
    place, side = near.nonzero(as_tuple=True)
    return (torch.cat((target, target[place])), torch.cat((anchor, anchor[place])),
            torch.cat((cell, cell[place] + steps[side])))
