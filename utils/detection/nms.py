"""From the boxes of one image to its detections: Darknet's thresholds and its three ways to suppress.

A box counts in every class whose probability (objectness x class score) exceeds the threshold; within a class the
surest box goes first and suppresses those that overlap it too much (AlexeyAB/darknet, yolo_layer.c:
get_yolo_detections; box.c: do_nms_sort, diounms_sort).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from utils.detection.boxes import pairwise_iou, xywh_to_xyxy
from utils.errors import OptionError

NmsKind = Literal["default", "greedynms", "diounms"]
Gate = Literal["objectness", "product"]
Overlap = Callable[[Tensor, Tensor, float], Tensor]

MAX_CANDIDATES = 1000
_GREEDY_BETA = 0.6  # greedynms does not read beta_nms
_BLOCK = 128
_FIRST_SHARE = 8  # candidates looked at first, per wanted detection; then so many times more


def select_detections(predictions: Tensor | np.ndarray, *, conf: float = 0.25, iou: float = 0.45,
                      kind: NmsKind = "default", beta: float = 0.6, gate: Gate = "objectness",
                      image_size: tuple[float, float] = (1.0, 1.0), max_candidates: int | None = MAX_CANDIDATES,
                      max_detections: int | None = None) -> np.ndarray:
    """The detections of one image, chosen as Darknet chooses them.

    Thresholds are strict, as in Darknet: kept is what is greater. Boxes with a coordinate that is not finite are
    dropped. The work that grows with the number of boxes runs on the device of `predictions`, the rest on the CPU.

    Args:
        predictions: (boxes, 5 + classes) as the functions of `decode` give them, cx cy w h objectness classes.
        conf: least objectness and least probability. Darknet: 0.25 to show, 0.005 for its own mAP; COCO: 0.001.
        iou: a box goes if its overlap with a surer one of its class exceeds this. Darknet's `test` and `map`: 0.45.
        kind: `nms_kind` of the last head. "default" compares the IoU; "greedynms" IoU - (d/c)^0.6; "diounms"
            IoU - (d/c)^beta, with d the squared distance of the centres and c the squared diagonal around both.
        beta: `beta_nms` of the last head, for "diounms".
        gate: "objectness" for [yolo] and [Gaussian_yolo]: the objectness must exceed `conf`, too; "product" for
            [region]: only the probability counts.
        image_size: width and height of the picture inside the network's input, in the unit of the boxes. Darknet
            measures d and c in fractions of the picture; give it where the two differ and kind is not "default".
        max_candidates: in each class only the surest so many compete; Darknet has no such limit (None). The result
            differs from Darknet's only where a class has more candidates, as at conf=0.001 in an untrained net.
        max_detections: return only the surest so many of all classes; None: all. COCO scores 100 per image.

    Returns:
        (n, 6) x1 y1 x2 y2 score class, surest first, in the unit of `predictions`; float32 (float64 if they were).

    Raises:
        OptionError: `kind` or `gate` is not one of those above.
    """
    predictions, box, label, score = _candidates(predictions, conf, gate)
    boxes = xywh_to_xyxy(predictions[:, :4])
    relative = boxes / boxes.new_tensor((*image_size, *image_size))
    keep = torch.empty(0, dtype=torch.long)
    for some in _growing_shares(score, max_detections):
        keep = some[_survivors(relative, box[some], label[some], score[some], iou, kind, beta, max_candidates)]
        if max_detections is not None and len(keep) >= max_detections:
            break
    order = keep[(-score[keep]).argsort(stable=True)][:max_detections]
    columns = boxes[box[order]], score[order, None], label[order, None].to(score.dtype)
    return torch.cat(columns, dim=1).numpy()


def darknet_rows(predictions: Tensor | np.ndarray, *, conf: float, iou: float | None, kind: NmsKind = "default",
                 beta: float = 0.6, gate: Gate = "objectness",
                 image_size: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """The same selection as Darknet holds it: one row per box, all classes side by side (its `detection` struct).

    Args:
        iou: as in `select_detections`; None: before suppression (what get_network_boxes returns).
        others: as in `select_detections`.

    Returns:
        (n, 5 + classes): cx cy w h as given, the objectness (1 with gate="product"), and per class the probability,
        or 0 where it does not exceed `conf` or is suppressed. A row stays when all its classes are gone.

    Raises:
        OptionError: `kind` or `gate` is unknown.
    """
    predictions, box, label, score = _candidates(predictions, conf, gate)
    if iou is not None:
        boxes = xywh_to_xyxy(predictions[:, :4]) / predictions.new_tensor((*image_size, *image_size))
        keep = _survivors(boxes, box, label, score, iou, kind, beta, None)
        box, label, score = box[keep], label[keep], score[keep]
    rows = torch.cat((predictions[:, :5], torch.zeros_like(predictions[:, 5:])), dim=1)
    if gate == "product":
        rows[:, 4] = 1
    rows[box, 5 + label] = score
    return rows.numpy()


def _candidates(predictions: Tensor | np.ndarray, conf: float, gate: Gate) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """On the CPU: the boxes that remain, and the (box, class, probability) triples above `conf`, ordered by class."""
    if gate not in ("objectness", "product"):
        raise OptionError("gate", f"is {gate!r}", 'use "objectness" or "product"')
    predictions = torch.as_tensor(predictions).detach()
    if predictions.dtype not in (torch.float32, torch.float64):
        predictions = predictions.float()
    good = predictions[:, :4].isfinite().all(1)
    if gate == "objectness":
        good &= predictions[:, 4] > conf
    predictions = predictions[good]
    probability = (predictions[:, 4:5] * predictions[:, 5:]).T
    label, box = (probability > conf).nonzero(as_tuple=True)
    score = probability[label, box]
    return predictions.cpu(), box.cpu(), label.cpu(), score.cpu()


def _growing_shares(score: Tensor, wanted: int | None) -> Iterator[Tensor]:
    """Indices of the surest candidates: a few, then more, at last all; in their old order.

    What a share contains does not change when more follow, because a candidate is suppressed only by surer ones. So
    if a share yields enough survivors, those are the surest of all, and the rest need not be looked at.
    """
    count = len(score) if wanted is None else max(_FIRST_SHARE * wanted, _BLOCK)
    while count < len(score):
        least = score.topk(count).values[-1]
        yield (score >= least).nonzero().squeeze(1)
        count *= _FIRST_SHARE
    yield torch.arange(len(score))


def _survivors(boxes: Tensor, box: Tensor, label: Tensor, score: Tensor, iou: float, kind: NmsKind, beta: float,
               max_candidates: int | None) -> Tensor:
    """Which of the candidate triples no surer one of their class suppresses, as indices grouped by class."""
    if kind not in _OVERLAPS:
        raise OptionError("nms_kind", f"is {kind!r}", f"use one of {', '.join(_OVERLAPS)}")
    overlap = _OVERLAPS[kind]
    kept, start = [label.new_empty(0)], 0
    for size in torch.unique_consecutive(label, return_counts=True)[1].tolist():
        order = (-score[start:start + size]).argsort(stable=True)[:max_candidates] + start
        kept.append(order[_greedy(boxes[box[order]], overlap, iou, beta)])
        start += size
    return torch.cat(kept)


def _greedy(boxes: Tensor, overlap: Overlap, iou: float, beta: float) -> Tensor:
    """Positions of the boxes (surest first) that survive.

    Works block by block: within a block one box after the other, and what a whole block suppresses at once.
    """
    kept, waiting = [], torch.arange(len(boxes))
    while len(waiting):
        block, waiting = waiting[:_BLOCK], waiting[_BLOCK:]
        suppresses = (overlap(boxes[block], boxes[block], beta) > iou).numpy()
        alive = np.ones(len(block), dtype=bool)
        for i in range(len(block) - 1):
            if alive[i]:
                alive[i + 1:] &= ~suppresses[i, i + 1:]
        winners = block[torch.from_numpy(alive)]
        kept.append(winners)
        if len(waiting):
            waiting = waiting[~(overlap(boxes[winners], boxes[waiting], beta) > iou).any(0)]
    return torch.cat(kept)


def _plain(a: Tensor, b: Tensor, beta: float) -> Tensor:
    return pairwise_iou(a, b)


def _greedynms(a: Tensor, b: Tensor, beta: float) -> Tensor:
    return _diounms(a, b, _GREEDY_BETA)


def _diounms(a: Tensor, b: Tensor, beta: float) -> Tensor:
    """IoU - (d/c)^beta; the IoU alone where both boxes are one point (Zheng et al., AAAI 2020)."""
    distance = ((a[:, None, :2] + a[:, None, 2:] - b[None, :, :2] - b[None, :, 2:]) / 2).square().sum(-1)
    around = torch.maximum(a[:, None, 2:], b[None, :, 2:]) - torch.minimum(a[:, None, :2], b[None, :, :2])
    diagonal = around.square().sum(-1)
    share = torch.where(diagonal == 0, torch.zeros_like(distance), distance / diagonal.clamp(min=1e-30))
    return pairwise_iou(a, b) - share.pow(beta)


_OVERLAPS: Mapping[str, Overlap] = {"default": _plain, "greedynms": _greedynms, "diounms": _diounms}
