"""Average precision as Darknet, Pascal VOC and the ancestor of this project define it.

They share the matching (`matching`) and differ in how an area is made of the points of a precision-recall curve, and
in which classes the mean is taken over. Never put two of them into one column: they are up to a point apart.
COCO's own is in `coco_map`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from utils.detection.matching import Matches
from utils.detection.precision_recall import PrecisionRecall

NAN = float("nan")


def area_under_envelope(curve: PrecisionRecall) -> float:
    """Exact area under the curve made non-increasing: Pascal VOC since 2010; Darknet's `-points 0`, its default."""
    recall = np.concatenate(([0.0], curve.recall))
    return float(np.sum(np.diff(recall) * _envelope(curve.precision)))


def mean_at_points(curve: PrecisionRecall, points: int) -> float:
    """Mean over `points` recalls 0 ... 1 of the best precision at that recall or more.

    11: Pascal VOC 2007. Darknet's `-points 11` and `-points 101`; the latter is also COCO's area, after its matching.
    """
    first = np.searchsorted(curve.recall, np.arange(points) / (points - 1), side="left")
    return float(np.append(_envelope(curve.precision), 0.0)[first].mean())


def ancestor_area(curve: PrecisionRecall) -> float:
    """The area of ultralytics/yolov3 of late 2019 and of the pruning project that grew from it.

    Points (0, 0) and (last recall + 0.001, 0) are added, precision is made non-increasing, interpolated linearly at
    101 recalls, and integrated by trapezoids.
    """
    if not len(curve.recall):
        return 0.0
    recall = np.concatenate(([0.0], curve.recall, [min(curve.recall[-1] + 1e-3, 1.0)]))
    precision = _envelope(np.concatenate(([0.0], curve.precision, [0.0])))
    x = np.linspace(0, 1, 101)
    y = np.interp(x, recall, precision)
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2.0).sum())


@dataclass(frozen=True, slots=True)
class Definition:
    """One meaning of "mAP". unlabelled_count: classes without labels enter the mean, with 0."""

    area: Callable[[PrecisionRecall], float]
    unlabelled_count: bool


DEFINITIONS: Mapping[str, Definition] = {
    "peer": Definition(ancestor_area, False),
    "darknet": Definition(area_under_envelope, True),
    "darknet_11": Definition(lambda curve: mean_at_points(curve, 11), True),
    "darknet_101": Definition(lambda curve: mean_at_points(curve, 101), True),
    "voc2007": Definition(lambda curve: mean_at_points(curve, 11), False),
    "voc2010": Definition(area_under_envelope, False),
}


def class_average_precision(matches: Matches, definition: str) -> float:
    """The AP of one class, in [0, 1]; 0 without detections, NaN without labels.

    Args:
        definition: a key of `DEFINITIONS`. The IoU belongs to the matching.
    """
    return DEFINITIONS[definition].area(PrecisionRecall.of(matches)) if matches.labels else NAN


def mean_average_precision(matches: Sequence[Matches], definition: str) -> float:
    """The mean of the classes' AP, in [0, 1]; NaN if no class has labels.

    Darknet divides by the number of all classes, also of those without labels (detector.c, validate_detector_map);
    the others look only at classes that have some.

    Args:
        matches: one per class.
        definition: a key of `DEFINITIONS`.
    """
    values = [class_average_precision(one, definition) for one in matches if one.labels]
    if not values:
        return NAN
    return float(np.sum(values) / (len(matches) if DEFINITIONS[definition].unlabelled_count else len(values)))


def _envelope(precision: np.ndarray) -> np.ndarray:
    """At each point the best precision from there on."""
    return np.maximum.accumulate(precision[::-1])[::-1]
