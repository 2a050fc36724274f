"""Mirror images."""

from __future__ import annotations

import cv2
import numpy as np


def flip_left_right(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror an image and its (n, 5) pixel labels at the vertical line through its middle."""
    return cv2.flip(image, 1), _mirrored(labels, 1, image.shape[1])


def flip_up_down(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mirror an image and its (n, 5) pixel labels at the horizontal line through its middle."""
    return cv2.flip(image, 0), _mirrored(labels, 2, image.shape[0])


def _mirrored(labels: np.ndarray, first: int, length: int) -> np.ndarray:
    """Column `first` holds the low edge, the one after the next the high edge."""
    result = labels.copy()
    result[:, first] = length - labels[:, first + 2]
    result[:, first + 2] = length - labels[:, first]
    return result
