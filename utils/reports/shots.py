"""Detections as a picture that lies inside a page."""

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
class Shot:
    """A picture with boxes. address: a `data:` address. found: in words. width, height: pixels."""

    address: str = field(repr=False)
    found: str
    width: int
    height: int


def shot(image: np.ndarray, boxes: np.ndarray, names: Sequence[str]) -> Shot:
    """Draw boxes on an image.

    Args:
        image: (H, W, 3) uint8, RGB.
        boxes: (n, 6) of x1, y1, x2, y2 in pixels of this image, score, class.
        names: of the classes.
    """
    import cv2

    scale = min(1.0, _LARGEST / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scaled = np.array(boxes, dtype=np.float64).reshape(-1, 6)
    scaled[:, :4] *= scale
    drawn = draw_detections(image, scaled, names)
    data = cv2.imencode(".jpg", drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
    return Shot(data_address(data, "image/jpeg"), _found(boxes, names), drawn.shape[1], drawn.shape[0])


def data_address(data: bytes, kind: str) -> str:
    """Bytes as a `data:` address of this MIME type, for `src=`."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _found(boxes: np.ndarray, names: Sequence[str]) -> str:
    """`3 cat, 1 dog`; `nothing`."""
    counts = Counter(class_name(int(index), names) for index in boxes[:, 5])
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
