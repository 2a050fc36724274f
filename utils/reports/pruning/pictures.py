"""Detections before and after a cut, as pictures that lie inside the page."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from utils.reports.drawing import class_name, draw_detections

_LARGEST = 560  # pixels of the longer side
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class SideBySide:
    """One image with what was found in it before and after.

    name: of its file. before, after: `data:` addresses. found_before, found_after: in words.
    """

    name: str
    before: str = field(repr=False)
    after: str = field(repr=False)
    found_before: str
    found_after: str
    width: int
    height: int


def side_by_side(name: str, image: np.ndarray, before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> SideBySide:
    """Draw the boxes of two networks on an image.

    Args:
        image: (H, W, 3) uint8, RGB.
        before, after: (n, 6) of x1, y1, x2, y2 in pixels of this image, score, class.
        names: of the classes.
    """
    import cv2

    scale = min(1.0, _LARGEST / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    left, right = (draw_detections(image, _scaled(boxes, scale), names) for boxes in (before, after))
    return SideBySide(name, _address(left), _address(right), _found(before, names), _found(after, names),
                      left.shape[1], left.shape[0])


def _scaled(boxes: np.ndarray, scale: float) -> np.ndarray:
    scaled = np.array(boxes, dtype=np.float64).reshape(-1, 6)
    scaled[:, :4] *= scale
    return scaled


def _found(boxes: np.ndarray, names: Sequence[str]) -> str:
    """`3 cat, 1 dog`; `nothing`."""
    counts = Counter(class_name(int(index), names) for index in boxes[:, 5])
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"


def _address(picture: np.ndarray) -> str:
    import cv2

    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")
