"""Which detections are right: the matching that Darknet, the Pascal VOC kit and the ancestor of this project share.

Each detection looks at the labels of its class and takes the one it overlaps most. If their IoU exceeds the
threshold and no surer detection has that label already, it is right; otherwise it is wrong, even if a second label
would fit. (COCO's matching does give a second choice; it lives in `coco_map`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from utils.detection.boxes import pairwise_iou
from utils.detection.ground_truth import GroundTruth


@dataclass(frozen=True, slots=True)
class Matches:
    """All detections of one class, over all images, surest first.

    scores: (d,) descending. correct: (d,) bool. labels: how many boxes there were to find, crowds not counted.
    """

    scores: np.ndarray
    correct: np.ndarray
    labels: int


def match_detections(detections: Sequence[np.ndarray], truths: Sequence[GroundTruth], classes: int,
                     iou: float = 0.5) -> tuple[Matches, ...]:
    """Judge every detection.

    Detections in an image without labels are wrong. One that fits only a crowd (or "difficult") label is left out,
    as Darknet and the VOC kit leave it out.

    Args:
        detections: per image (n, 6) x1 y1 x2 y2 score class, any order.
        truths: per image, in the same order and the same pixels.
        classes: how many there are.
        iou: a match has a greater one (strictly, as in Darknet and the ancestor).

    Returns:
        One `Matches` per class. Equal scores stay in the order of the images and of their rows.
    """
    outcomes = [_judge(rows, truth, iou) for rows, truth in zip(detections, truths, strict=True)]
    rows = np.concatenate([np.zeros((0, 6)), *detections])
    outcome = np.concatenate([np.zeros(0, dtype=np.int8), *outcomes])
    wanted = np.concatenate([np.zeros(0, dtype=np.int64), *(t.classes[~t.crowd] for t in truths)])
    rows, outcome = rows[outcome >= 0], outcome[outcome >= 0]
    order = np.argsort(-rows[:, 4], kind="stable")
    scores, labels, outcome = rows[order, 4], rows[order, 5].astype(np.int64), outcome[order]
    counts = np.bincount(wanted, minlength=classes)
    by_class = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=classes))[:-1]
    return tuple(Matches(scores[part], outcome[part] == 1, int(count))
                 for part, count in zip(np.split(by_class, ends), counts, strict=True))


def _judge(rows: np.ndarray, truth: GroundTruth, iou: float) -> np.ndarray:
    """(n,) int8 per detection of one image: 1 right, 0 wrong, -1 left out."""
    outcome = np.zeros(len(rows), dtype=np.int8)
    if not len(rows) or not len(truth.classes):
        return outcome
    overlap = pairwise_iou(torch.from_numpy(rows[:, :4]), torch.from_numpy(truth.boxes)).numpy()
    overlap = np.where(rows[:, 5:6] == truth.classes, overlap, 0.0)
    to_find, crowds = overlap[:, ~truth.crowd], overlap[:, truth.crowd]
    if to_find.shape[1]:
        best = to_find.argmax(axis=1)
        order = np.argsort(-rows[:, 4], kind="stable")
        order = order[to_find[order, best[order]] > iou]
        _, first = np.unique(best[order], return_index=True)
        outcome[order] = 2  # fits, but a surer one may have the label
        outcome[order[first]] = 1
    outcome[(outcome == 0) & (crowds > iou).any(axis=1)] = -1
    return np.where(outcome == 2, 0, outcome)
