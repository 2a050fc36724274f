"""Turn, scale, shear and move an image in one step."""

from __future__ import annotations

import math

import cv2
import numpy as np

from utils.datasets.augmentation.fit import GREY
from utils.datasets.augmentation.options import AugmentationOptions


def random_affine(random: np.random.Generator, options: AugmentationOptions, canvas: tuple[int, int],
                  size: tuple[int, int]) -> np.ndarray:
    """A random move that brings the middle of a canvas near the middle of an image.

    Turned and scaled about the middle, then sheared, then moved: T S R C in the notation of the yolov5 family.

    Args:
        canvas: (height, width) of what is moved, in pixels.
        size: (height, width) of the result; a mosaic's is half of its canvas, so its border falls away.

    Returns:
        (2, 3) float64, on the continuous scale of boxes.
    """
    turn, scale, shear_x, shear_y, x, y = random.uniform(-1, 1, 6).tolist()
    angle, factor = math.radians(turn * options.degrees), 1 + scale * options.scale
    centre = np.array([(1, 0, -canvas[1] / 2), (0, 1, -canvas[0] / 2), (0, 0, 1)])
    cos, sin = factor * math.cos(angle), factor * math.sin(angle)
    turned = np.array([(cos, sin, 0), (-sin, cos, 0), (0, 0, 1)])
    sheared = np.array([(1, math.tan(math.radians(shear_x * options.shear)), 0),
                        (math.tan(math.radians(shear_y * options.shear)), 1, 0), (0, 0, 1)])
    moved = np.array([(1, 0, (0.5 + x * options.translate) * size[1]),
                      (0, 1, (0.5 + y * options.translate) * size[0])])
    return moved @ sheared @ turned @ centre


def apply_affine(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Move an image, bilinear; what comes from outside of it is grey.

    Args:
        image: (H, W, 3) uint8.
        matrix: (2, 3) on the continuous scale of boxes, where the middle of the first pixel is at 0.5. (OpenCV puts 0
            there; without the difference a scaled image would come out half a pixel beside its boxes.)
        size: (height, width) of the result.
    """
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    return cv2.warpAffine(image, centred, (size[1], size[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
                          borderValue=(GREY, GREY, GREY))
