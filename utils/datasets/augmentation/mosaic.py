"""Four images on one canvas, or a lone one, with their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.datasets.augmentation.boxes import clip_boxes, to_pixels
from utils.datasets.augmentation.fit import GREY, put


@dataclass(frozen=True, eq=False)
class Canvas:
    """Images in their places. The part that becomes the sample is its middle.

    image: (H, W, 3) uint8 RGB. labels: (n, 5) pixel labels, clipped to the canvas. whole: the same before that.
    """

    image: np.ndarray
    labels: np.ndarray
    whole: np.ndarray


def mosaic_canvas(tiles: Sequence[tuple[np.ndarray, np.ndarray]], size: tuple[int, int],
                  random: np.random.Generator) -> Canvas:
    """Put four images round a random point of a grey canvas, each with a corner on it.

    The canvas is twice as wide and high as the sample; the point is uniform in its inner half. Where each image fills
    `size`, the middle of the canvas is covered whatever the point.

    Args:
        tiles: four times an image as `fit` gives it and its labels (n, 5) class xc yc w h relative to it.
        size: (height, width) of the sample, in pixels.
    """
    height, width = size
    x = int(random.integers(width // 2, width * 3 // 2 + 1))
    y = int(random.integers(height // 2, height * 3 // 2 + 1))
    corners = [(x - tile.shape[1] * (i % 2 == 0), y - tile.shape[0] * (i < 2)) for i, (tile, _) in enumerate(tiles)]
    return _canvas(tiles, corners, (2 * height, 2 * width))


def lone_canvas(image: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> Canvas:
    """One image in the middle of a canvas of the sample's size; arguments as for `mosaic_canvas`."""
    height, width = size
    return _canvas([(image, labels)], [((width - image.shape[1]) // 2, (height - image.shape[0]) // 2)], size)


def _canvas(tiles: Sequence[tuple[np.ndarray, np.ndarray]], corners: Sequence[tuple[int, int]],
            size: tuple[int, int]) -> Canvas:
    canvas = np.full((*size, 3), GREY, dtype=np.uint8)
    boxes = [np.zeros((0, 5), dtype=np.float32)]
    for (tile, labels), (left, top) in zip(tiles, corners, strict=True):
        put(tile, canvas, left, top)
        placed = to_pixels(labels, tile.shape[1], tile.shape[0])
        placed = clip_boxes(placed, 0, 0, tile.shape[1], tile.shape[0])  # a label may reach beyond its own image
        placed[:, 1::2] += left
        placed[:, 2::2] += top
        boxes.append(placed)
    labels = np.concatenate(boxes)
    return Canvas(canvas, clip_boxes(labels, 0, 0, size[1], size[0]), labels)
