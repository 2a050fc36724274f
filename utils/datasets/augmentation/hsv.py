"""Change of hue, saturation and value."""

from __future__ import annotations

import cv2
import numpy as np


def random_hsv_gains(random: np.random.Generator, hue: float, saturation: float,
                     value: float) -> tuple[float, float, float]:
    """Three factors 1 + U(-1, 1) * (hue, saturation, value)."""
    h, s, v = (1 + random.uniform(-1, 1, 3) * (hue, saturation, value)).tolist()
    return h, s, v


def change_hsv(image: np.ndarray, gains: tuple[float, float, float]) -> np.ndarray:
    """Multiply the hue, saturation and value of a picture.

    The hue is an angle: it goes on at 0 where it passes 360 degrees (180 in OpenCV's bytes). Saturation and value end
    at 255. Factors of 1 give a copy; with others each channel is also rounded to what 8 bits of hue, saturation and
    value can tell, at most a few levels.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        gains: factors, 0 or more.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    if gains == (1.0, 1.0, 1.0):
        return image.copy()
    levels = np.arange(256)
    hue = np.rint(levels * gains[0]) % 180
    rest = [np.clip(np.rint(levels * gain), 0, 255) for gain in gains[1:]]
    table = np.stack((hue, *rest), axis=-1).astype(np.uint8)[None]
    turned = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    cv2.LUT(turned, table, dst=turned)
    return cv2.cvtColor(turned, cv2.COLOR_HSV2RGB, dst=turned)
