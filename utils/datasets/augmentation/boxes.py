"""Boxes on their way through an augmentation: to pixels and back, moved, cut at a border, and which of them stay."""

from __future__ import annotations

import numpy as np

_WHOLE = 0.999
"""Share of its area from which on a box counts as not cut."""


def to_pixels(labels: np.ndarray, width: int, height: int) -> np.ndarray:
    """(n, 5) class xc yc w h relative to an image -> class x1 y1 x2 y2 in its pixels, not clipped."""
    result = np.array(labels[:, :5], dtype=np.float32)
    half = labels[:, 3:5] / 2
    result[:, 1:3] = (labels[:, 1:3] - half) * (width, height)
    result[:, 3:5] = (labels[:, 1:3] + half) * (width, height)
    return result


def to_relative(labels: np.ndarray, width: int, height: int) -> np.ndarray:
    """(n, 5) class x1 y1 x2 y2 in pixels -> class xc yc w h relative to an image of this size, float32."""
    result = np.array(labels, dtype=np.float32)
    result[:, 1:3] = (labels[:, 1:3] + labels[:, 3:5]) / 2 / (width, height)
    result[:, 3:5] = (labels[:, 3:5] - labels[:, 1:3]) / (width, height)
    return result


def clip_boxes(labels: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Pixel labels, their corners moved into a rectangle; a box wholly outside gets no area."""
    result = labels.copy()
    result[:, 1::2] = labels[:, 1::2].clip(left, right)
    result[:, 2::2] = labels[:, 2::2].clip(top, bottom)
    return result


def areas(labels: np.ndarray) -> np.ndarray:
    """(n,) areas of pixel labels."""
    return (labels[:, 3] - labels[:, 1]) * (labels[:, 4] - labels[:, 2])


def transform_boxes(labels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The upright boxes round the four moved corners of pixel labels.

    Of a turned object that is no rectangle this is more than its own tight box; for turns of one or two degrees a
    matter of a few per cent.

    Args:
        labels: (n, 5) class x1 y1 x2 y2.
        matrix: (2, 3) of the move, on the continuous scale of the boxes.
    """
    corners = labels[:, [1, 2, 3, 2, 3, 4, 1, 4]].reshape(-1, 4, 2) @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate((labels[:, :1], corners.min(axis=1), corners.max(axis=1)), axis=1).astype(np.float32)


def keep_visible(labels: np.ndarray, whole: np.ndarray, least_side: float = 4.0, least_visible: float = 0.1,
                 most_aspect: float = 10.0) -> np.ndarray:
    """Which boxes still show their object: (n,) bool.

    Args:
        labels: (n, 5) pixel labels after the move, clipped.
        whole: (n,) area, in the same pixels, that each would have if nothing of it were cut off.
        least_side: width and height must be larger, in pixels.
        least_visible: part of the area that must be larger.
        most_aspect: the longer side over the shorter must be smaller, where something was cut off: what is left of a
            chair at the border may be a stripe, but a whole ski is one by itself.
    """
    width, height = labels[:, 3] - labels[:, 1], labels[:, 4] - labels[:, 2]
    share = areas(labels) / np.maximum(whole, 1e-9)
    shorter, longer = np.minimum(width, height), np.maximum(width, height)
    return (shorter > least_side) & (share > least_visible) & ((share > _WHOLE) | (longer < most_aspect * shorter))
