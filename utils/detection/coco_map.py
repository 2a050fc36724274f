"""COCO's mAP, by faster-coco-eval: the rules of pycocotools in compiled code.

Per IoU threshold each detection, surest first, takes the best label of its class that is still free; crowds are
ignored; the 100 surest detections of an image and class count; precision is read at 101 recalls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from utils.detection.ground_truth import GroundTruth
from utils.errors import EngineError

NAN = float("nan")
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)  # the area ranges of COCO: all, < 32^2, < 96^2, the rest; square pixels
_IOU50, _IOU75 = 0, 5                     # among 0.5, 0.55 ... 0.95


@dataclass(frozen=True, slots=True)
class CocoMap:
    """COCO's figures, all in [0, 1], NaN where nothing is labelled.

    map: AP averaged over IoU 0.5:0.05:0.95 and all classes with labels. map50, map75: at one IoU. small, medium,
    large: of objects of that size in the image. per_class, per_class50: of each class, NaN for those without labels.
    """

    map: float
    map50: float
    map75: float
    small: float
    medium: float
    large: float
    per_class: tuple[float, ...]
    per_class50: tuple[float, ...]


def evaluate_coco(detections: Sequence[np.ndarray], truths: Sequence[GroundTruth], classes: int) -> CocoMap:
    """COCO's average precision of boxes.

    Args:
        detections: per image (n, 6) x1 y1 x2 y2 score class, in pixels of the original image (small, medium and large
            are sizes in it).
        truths: per image, in the same order and pixels.
        classes: how many there are.

    Raises:
        EngineError: faster-coco-eval is not installed.
    """
    package = _faster_coco_eval()
    images = [{"id": i} for i in range(1, len(truths) + 1)]
    categories = [{"id": c} for c in range(1, classes + 1)]
    truth = package.COCO({"images": images, "categories": categories, "annotations": _annotations(truths)})
    found = truth.loadRes(_results(detections))
    judge = package.COCOeval_faster(truth, found, iouType="bbox", print_function=_silent)
    judge.evaluate()
    judge.accumulate()
    precision = np.asarray(judge.eval["precision"])[..., -1]  # (10 IoUs, 101 recalls, classes, 4 areas), 100 detections
    return CocoMap(
        map=_mean(precision[..., _ALL]), map50=_mean(precision[_IOU50, ..., _ALL]),
        map75=_mean(precision[_IOU75, ..., _ALL]), small=_mean(precision[..., _SMALL]),
        medium=_mean(precision[..., _MEDIUM]), large=_mean(precision[..., _LARGE]),
        per_class=tuple(_mean(precision[:, :, c, _ALL]) for c in range(classes)),
        per_class50=tuple(_mean(precision[_IOU50, :, c, _ALL]) for c in range(classes)),
    )


def _faster_coco_eval() -> ModuleType:
    try:
        import faster_coco_eval
    except ImportError as error:
        raise EngineError("COCO mAP", f"needs faster-coco-eval ({error})", "pip install faster-coco-eval") from error
    return faster_coco_eval


def _annotations(truths: Sequence[GroundTruth]) -> list[dict[str, Any]]:
    rows = [
        {"image_id": image, "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(area),
         "iscrowd": int(crowd)}
        for image, truth in enumerate(truths, start=1)
        for label, (x1, y1, x2, y2), crowd, area in zip(truth.classes, truth.boxes.tolist(), truth.crowd, truth.area,
                                                        strict=True)
    ]
    return [{"id": i, **row} for i, row in enumerate(rows, start=1)]


def _results(detections: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for image, rows in enumerate(detections, start=1)
        for x1, y1, x2, y2, score, label in rows.tolist()
    ]


def _silent(*messages: object) -> None:
    """Where faster-coco-eval may print to."""


def _mean(precision: np.ndarray) -> float:
    """Mean of the entries that exist; COCO writes -1 where a class has no labels."""
    values = precision[precision > -1]
    return float(values.mean()) if values.size else NAN
