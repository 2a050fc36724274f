"""From a canvas to a sample: moved, mirrored, coloured."""

from __future__ import annotations

import numpy as np

from utils.datasets.augmentation.affine import apply_affine, random_affine
from utils.datasets.augmentation.boxes import areas, clip_boxes, keep_visible, transform_boxes
from utils.datasets.augmentation.flip import flip_left_right, flip_up_down
from utils.datasets.augmentation.hsv import change_hsv, random_hsv_gains
from utils.datasets.augmentation.mosaic import Canvas
from utils.datasets.augmentation.options import AugmentationOptions


def augment(canvas: Canvas, options: AugmentationOptions, size: tuple[int, int],
            random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Take a sample out of the middle of a canvas.

    Args:
        canvas: of the sample's size, or larger (a mosaic).
        options: how strongly.
        size: (height, width) of the sample, in pixels.
        random: where all that is random comes from.

    Returns:
        (h, w, 3) uint8 RGB, possibly the canvas itself, and (n, 5) float32 pixel labels inside of it.
    """
    height, width = size
    is_mosaic = canvas.image.shape[:2] != size
    if options.moves and not (is_mosaic and options.literal_mosaic):
        matrix = random_affine(random, options, canvas.image.shape[:2], size)
        image = apply_affine(canvas.image, matrix, size)
        labels, whole = transform_boxes(canvas.labels, matrix), transform_boxes(canvas.whole, matrix)
    else:
        top, left = (canvas.image.shape[0] - height) // 2, (canvas.image.shape[1] - width) // 2
        image = canvas.image[top : top + height, left : left + width]
        shift = np.array([0, left, top, left, top], dtype=np.float32)
        labels, whole = canvas.labels - shift, canvas.whole - shift
    labels = clip_boxes(labels, 0, 0, width, height)
    if options.moves or is_mosaic:
        labels = labels[keep_visible(labels, areas(whole), options.least_side, options.least_visible,
                                     options.most_aspect)]
    flips = random.random(2)
    if flips[0] < options.flip_left_right:
        image, labels = flip_left_right(image, labels)
    if flips[1] < options.flip_up_down:
        image, labels = flip_up_down(image, labels)
    gains = random_hsv_gains(random, options.hsv_h, options.hsv_s, options.hsv_v)
    if gains != (1.0, 1.0, 1.0):
        image = change_hsv(image, gains)
    return image, labels
