"""An image at the size of a network: stretched over it, or letterboxed into it, as at inference."""

from __future__ import annotations

import cv2
import numpy as np

from utils.datasets.resize import letterbox_size

GREY = 128
"""What surrounds images."""


def fit(image: np.ndarray, width: int, height: int, letterbox: bool = False) -> np.ndarray:
    """Bring an image to width x height, or with a letterbox to the largest size of its own shape inside.

    Two-tap bilinear as at inference (Darknet and OpenCV's blobFromImage), so that what aliases there does so in training.
    Boxes keep their places relative to the image. The result may be the image itself where its size is right.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    size = letterbox_size(image.shape[1], image.shape[0], width, height) if letterbox else (width, height)
    if size == (image.shape[1], image.shape[0]):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def put(image: np.ndarray, canvas: np.ndarray, left: int, top: int) -> None:
    """Copy an image onto a canvas with its corner at (left, top); what reaches beyond the canvas is cut off."""
    height, width = canvas.shape[:2]
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + image.shape[1], width), min(top + image.shape[0], height)
    if x1 < x2 and y1 < y2:
        canvas[y1:y2, x1:x2] = image[y1 - top : y2 - top, x1 - left : x2 - left]
