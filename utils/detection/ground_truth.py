"""What is really in an image: its label lines, turned into boxes in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.errors import DataError


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The labelled boxes of one image.

    classes: (m,) class of each. boxes: (m, 4) x1 y1 x2 y2 in pixels. crowd: (m,) True for a COCO crowd or a VOC
    "difficult" box: finding it is neither right nor wrong. area: (m,) in square pixels.
    """

    classes: np.ndarray
    boxes: np.ndarray
    crowd: np.ndarray
    area: np.ndarray

    @classmethod
    def from_labels(cls, labels: np.ndarray | Sequence[Sequence[float]], size: tuple[float, float], classes: int,
                    where: str = "labels") -> GroundTruth:
        """Turn the label lines of one image into pixels of that image.

        Args:
            labels: (m, 5) class xc yc w h, relative to the image; or (m, 6) with a last column `crowd` (0 or 1); or
                (m, 7) with the area in square pixels as well (COCO gives that of the mask; by default it is w*h).
            size: width and height of the image in pixels.
            classes: how many there are.
            where: what to call these labels in an error.

        Raises:
            DataError: another number of columns, a class outside [0, classes), or a number that is not finite.
        """
        rows = np.asarray(labels, dtype=np.float64)
        if rows.size == 0:
            rows = np.zeros((0, 5))
        if rows.ndim != 2 or rows.shape[1] not in (5, 6, 7):
            raise DataError(where, f"have the shape {rows.shape}", "give rows `class xc yc w h [crowd [area]]`")
        _check(rows, rows[:, 0], classes, where)
        width, height = size
        scale = np.array([width, height, width, height], dtype=np.float64)
        centre, half = rows[:, 1:3], rows[:, 3:5] / 2
        boxes = np.concatenate((centre - half, centre + half), axis=1) * scale
        crowd = rows[:, 5] > 0 if rows.shape[1] > 5 else np.zeros(len(rows), dtype=bool)
        area = rows[:, 6] if rows.shape[1] > 6 else rows[:, 3] * rows[:, 4] * width * height
        return cls(rows[:, 0].astype(np.int64), boxes, crowd, area)


def detection_rows(detections: np.ndarray | Sequence[Sequence[float]], classes: int,
                   where: str = "detections") -> np.ndarray:
    """The detections of one image as float64, (n, 6) x1 y1 x2 y2 score class.

    Raises:
        DataError: another number of columns, a class outside [0, classes), or a number that is not finite.
    """
    rows = np.asarray(detections, dtype=np.float64)
    if rows.size == 0:
        return np.zeros((0, 6))
    if rows.ndim != 2 or rows.shape[1] != 6:
        raise DataError(where, f"have the shape {rows.shape}", "give rows `x1 y1 x2 y2 score class`")
    _check(rows, rows[:, 5], classes, where)
    return rows


def _check(rows: np.ndarray, labels: np.ndarray, classes: int, where: str) -> None:
    """DataError unless all is finite and all classes are whole numbers in [0, classes)."""
    if not np.isfinite(rows).all():
        raise DataError(where, "hold a number that is not finite", "leave such rows out")
    wrong = labels[(labels < 0) | (labels >= classes) | (labels != np.floor(labels))]
    if len(wrong):
        raise DataError(where, f"hold the class {wrong[0]:g}, but there are {classes}",
                        f"use whole numbers from 0 to {classes - 1}, or add the missing names")
