"""Pictures of what was detected: boxes with names and scores."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np

_SMALL = 320  # pictures with a shorter side below this are enlarged, or no label would fit beside its box
_GOLDEN = 0.618033988749895


def class_colour(index: int) -> tuple[int, int, int]:
    """RGB of a class: hues a golden section apart, so that neighbours in a list of names differ as much as can be."""
    hue = (0.02 + index * _GOLDEN) % 1.0
    tone = (1.0, 0.78, 0.9)[index // 12 % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if index % 2 == 0 else 0.6, tone)
    return round(red * 255), round(green * 255), round(blue * 255)


def class_name(index: int, names: Sequence[str]) -> str:
    """The name of a class, or `class 7` where the list has none."""
    return names[index] if 0 <= index < len(names) and names[index] else f"class {index}"


def enlargement(height: int, width: int) -> int:
    """By which whole number `draw_detections` enlarges a picture of this size: 1 from 320 pixels on."""
    return min(8, max(1, round(_SMALL / max(1, min(height, width))))) if min(height, width) < _SMALL else 1


def draw_detections(image: np.ndarray, detections: np.ndarray, names: Sequence[str] = ()) -> np.ndarray:
    """Draw boxes with names and scores on a copy of an image.

    Args:
        image: (H, W, 3) uint8, RGB.
        detections: (n, 6) of x1, y1, x2, y2 in pixels of this image, score, class.
        names: one per class; OpenCV's font is ASCII, so another name is drawn as `class 7`.

    Returns:
        A new (k*H, k*W, 3) uint8 RGB image; k is 1, and more for images under 320 pixels, so that labels are legible.
        Weak boxes are drawn first, so that strong ones lie on top.
    """
    import cv2

    height, width = image.shape[:2]
    scale = enlargement(height, width)
    canvas = image.copy() if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    line = max(1, round(min(canvas.shape[:2]) / 240))
    order = np.argsort(detections[:, 4], kind="stable") if len(detections) else ()
    for x1, y1, x2, y2, score, index in detections[order] if len(detections) else ():
        corners = np.clip(np.nan_to_num(np.array([x1, y1, x2, y2]) * scale), -1e6, 1e6).round().astype(int)
        colour = class_colour(int(index))
        left, top, right, bottom = map(int, corners)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, line, cv2.LINE_AA)
        name = class_name(int(index), names)
        _label(canvas, f"{name if name.isascii() else f'class {int(index)}'} {score:.2f}", (left, top), colour, line)
    return canvas


def _label(canvas: np.ndarray, text: str, corner: tuple[int, int], colour: tuple[int, int, int], line: int) -> None:
    """A filled tag above the box, or inside it at the upper border, always within the picture."""
    import cv2

    height, width = canvas.shape[:2]
    font, size = cv2.FONT_HERSHEY_SIMPLEX, max(0.42, min(height, width) / 1100)
    thick = max(1, round(size * 1.6))
    (text_width, text_height), below = cv2.getTextSize(text, font, size, thick)
    if text_width + 4 > width:  # a narrow picture: a smaller font, as far as it stays legible
        size = max(0.33, size * (width - 4) / text_width)
        thick = 1
        (text_width, text_height), below = cv2.getTextSize(text, font, size, thick)
    left = max(0, min(corner[0] - line // 2, width - text_width - 4))
    top = corner[1] - text_height - below - 2
    if top < 0:
        top = max(0, min(corner[1], height - text_height - below - 2))
    bottom = top + text_height + below + 2
    cv2.rectangle(canvas, (left, top), (left + text_width + 4, bottom), colour, -1)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
    ink = (0, 0, 0) if bright else (255, 255, 255)
    cv2.putText(canvas, text, (left + 2, bottom - below), font, size, ink, thick, cv2.LINE_AA)
