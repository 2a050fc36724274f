"""A picture in memory becomes a PNG file, or the bytes of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from utils.atomic import write_bytes


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as a PNG file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
        ValueError: another shape or type.
    """
    write_bytes(path, png_bytes(picture))


def png_bytes(picture: np.ndarray) -> bytes:
    """What a PNG file of this (H, W, 3) uint8 RGB picture holds; ValueError for another shape or type."""
    import cv2

    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise ValueError(f"a picture is (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
