"""All figures of one evaluation: precision, recall, F1 and every mAP under its own name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from utils.detection.average_precision import class_average_precision, mean_average_precision
from utils.detection.coco_map import CocoMap, evaluate_coco
from utils.detection.ground_truth import GroundTruth, detection_rows
from utils.detection.matching import Matches, match_detections
from utils.detection.precision_recall import OperatingPoint, PrecisionRecall, best_common_confidence
from utils.errors import DataError

NAN = float("nan")
_UNDEFINED = OperatingPoint(NAN, NAN, NAN, NAN)


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class; the names mean what they mean in `Metrics`. All figures are NaN if it has no labels.

    best_f1, best_confidence: the threshold that suits this class alone.
    """

    name: str
    labels: int
    detections: int
    precision: float
    recall: float
    f1: float
    best_f1: float
    best_confidence: float
    precision_last: float
    recall_last: float
    ap50_peer: float
    ap50_darknet: float
    ap50_coco: float
    ap_coco: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """An evaluation. Everything but the counts lies in [0, 1]; NaN where no label says what would be right.

    precision, recall, f1: means over the classes that have labels, at `confidence`: the one threshold, common to all
        classes, at which the mean F1 is greatest. These are the P, R and F1 to show.
    precision_last, recall_last, f1_last: the ancestor's P, R and F1: all detections kept however unsure they are.
    map: COCO, IoU 0.5:0.95. map50_coco: COCO at IoU 0.5, the mAP@0.5 to show. map75_coco, map_small, map_medium,
        map_large: COCO, too.
    map50_peer: as the ancestor's test.py computes it. map50_darknet: as `darknet detector map` does; it divides by
        the number of all classes, labelled or not.
    iou: what precision, recall, f1, map50_peer and map50_darknet ask of a match: 0.5 unless somebody chose another.
    """

    images: int
    labels: int
    detections: int
    iou: float
    confidence: float
    precision: float
    recall: float
    f1: float
    precision_last: float
    recall_last: float
    f1_last: float
    map: float
    map50_coco: float
    map75_coco: float
    map_small: float
    map_medium: float
    map_large: float
    map50_peer: float
    map50_darknet: float
    per_class: tuple[ClassMetrics, ...] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for JSON; NaN becomes None."""
        return _plain(asdict(self))


def evaluate(detections: Sequence[np.ndarray], labels: Sequence[np.ndarray], sizes: Sequence[tuple[float, float]],
             names: Sequence[str], *, iou: float = 0.5) -> Metrics:
    """Compare the detections of some images with their labels.

    For figures that can be compared, detect with conf=0.001 and keep at least 100 detections per image.

    Args:
        detections: per image (n, 6) x1 y1 x2 y2 score class, in pixels of the original image; may be empty.
        labels: per image (m, 5) class xc yc w h relative to the image, may be empty; for crowds and areas see
            `GroundTruth.from_labels`. Detections in an image without labels are wrong.
        sizes: per image (width, height) in pixels.
        names: of all classes.
        iou: what a match must exceed in all figures but COCO's.

    Raises:
        DataError: the three lists differ in length, or one holds something else than described.
        EngineError: faster-coco-eval is not installed.
    """
    if not len(detections) == len(labels) == len(sizes):
        raise DataError("evaluation", f"has detections of {len(detections)}, labels of {len(labels)} and sizes of "
                                      f"{len(sizes)} images", "give one of each per image")
    classes = len(names)
    rows = [detection_rows(one, classes, f"detections of image {i}") for i, one in enumerate(detections)]
    truths = [GroundTruth.from_labels(one, size, classes, f"labels of image {i}")
              for i, (one, size) in enumerate(zip(labels, sizes, strict=True))]
    matches = match_detections(rows, truths, classes, iou)
    return summarize(names, matches, evaluate_coco(rows, truths, classes), images=len(rows), iou=iou)


def summarize(names: Sequence[str], matches: Sequence[Matches], coco: CocoMap, *, images: int,
              iou: float) -> Metrics:
    """Put the figures of `evaluate` together: `matches` one per class, `coco` of the same detections."""
    curves = {c: PrecisionRecall.of(one) for c, one in enumerate(matches) if one.labels}
    confidence = best_common_confidence(tuple(curves.values()))
    points = [curve.at(confidence) for curve in curves.values()]
    last = [curve.last() for curve in curves.values()]
    return Metrics(
        images=images, labels=sum(one.labels for one in matches), detections=sum(len(one.scores) for one in matches),
        iou=iou, confidence=confidence,
        precision=_mean([p.precision for p in points]), recall=_mean([p.recall for p in points]),
        f1=_mean([p.f1 for p in points]), precision_last=_mean([p.precision for p in last]),
        recall_last=_mean([p.recall for p in last]), f1_last=_mean([p.f1 for p in last]),
        map=coco.map, map50_coco=coco.map50, map75_coco=coco.map75, map_small=coco.small, map_medium=coco.medium,
        map_large=coco.large, map50_peer=mean_average_precision(matches, "peer"),
        map50_darknet=mean_average_precision(matches, "darknet"),
        per_class=tuple(_of_class(name, matches[c], curves.get(c), confidence, coco.per_class50[c], coco.per_class[c])
                        for c, name in enumerate(names)),
    )


def _of_class(name: str, matches: Matches, curve: PrecisionRecall | None, confidence: float, ap50_coco: float,
              ap_coco: float) -> ClassMetrics:
    point, best, last = (curve.at(confidence), curve.best(), curve.last()) if curve else (_UNDEFINED,) * 3
    return ClassMetrics(
        name=name, labels=matches.labels, detections=len(matches.scores), precision=point.precision,
        recall=point.recall, f1=point.f1, best_f1=best.f1, best_confidence=best.confidence,
        precision_last=last.precision, recall_last=last.recall, ap50_peer=class_average_precision(matches, "peer"),
        ap50_darknet=class_average_precision(matches, "darknet"), ap50_coco=ap50_coco, ap_coco=ap_coco,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else NAN


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if math.isnan(value):
            return None
        case _:
            return value
