"""How good a detector is, as tables: every mAP under the name of its definition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from utils.reports import units
from utils.reports.tables import table

_MAPS = (
    ("map50_coco", "mAP@0.5", "COCO: IoU 0.5, 101 recalls"),
    ("map", "mAP@0.5:0.95", "COCO: mean over IoU 0.5, 0.55 ... 0.95"),
    ("map75_coco", "mAP@0.75", "COCO: IoU 0.75"),
    ("map50_darknet", "mAP@{iou:g} (Darknet)", "`detector map`: area under the curve, all classes"),
    ("map50_peer", "mAP@{iou:g} (ancestor)", "yolov3-channel-and-layer-pruning's test.py"),
)


def evaluation_table(metrics: Mapping[str, Any], *, width: int | None = None) -> str:
    """Images, labels, precision, recall, F1 and every mAP, each with what it means.

    Args:
        metrics: `utils.detection.Metrics.to_dict()`.
    """
    confidence = metrics["confidence"]
    at = "class mean at the best common confidence" + ("" if confidence is None else f", {confidence:.3f}")
    rows = [
        ("P", units.score(_nan(metrics["precision"])), at),
        ("R", units.score(_nan(metrics["recall"])), at),
        ("F1", units.score(_nan(metrics["f1"])), at),
    ]
    rows += [(title.format(iou=metrics["iou"]), units.score(_nan(metrics[key])), meaning)
             for key, title, meaning in _MAPS]
    return table(rows, ("figure", "value", "definition"), "<><", width=width)


def class_table(metrics: Mapping[str, Any], *, width: int | None = None) -> str:
    """One row per class that has labels or detections, in the order of the names.

    Args:
        metrics: `utils.detection.Metrics.to_dict()`.
    """
    rows = [
        (one["name"], one["labels"], *(units.score(_nan(one[key]))
                                       for key in ("precision", "recall", "f1", "ap50_coco", "ap_coco")))
        for one in metrics["per_class"] if one["labels"] or one["detections"]
    ]
    return table(rows, ("class", "labels", "P", "R", "F1", "AP@0.5", "AP@0.5:0.95"), "<>>>>>>", width=width)


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
