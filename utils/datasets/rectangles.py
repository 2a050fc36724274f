"""The shape of a batch that is no larger than its images need."""

from __future__ import annotations

import numpy as np


def rect_shape(sizes: np.ndarray, long_side: int, stride: int = 32) -> tuple[int, int]:
    """The smallest (height, width), in multiples of stride, that holds all images with long sides of `long_side`.

    Args:
        sizes: (n, 2) width and height of the images, in pixels.
        long_side: pixels that the longer side of each image is brought to.
        stride: of the network's coarsest head.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    longest = sizes.max(axis=1, keepdims=True)
    reached = -(-sizes * long_side // longest)  # rounded up, in whole numbers
    width, height = (-(-reached.max(axis=0) // stride) * stride).tolist()
    return height, width
