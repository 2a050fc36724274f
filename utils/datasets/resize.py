"""Darknet's way to bring an image to the network's size, number by number (image.c: resize_image, letterbox_image).

It is a bilinear resize whose outermost samples are the outermost pixels (PyTorch: align_corners=True), first along x,
then along y, all in float32. OpenCV's and Pillow's resize put their samples elsewhere: up to half a pixel apart.
"""

from __future__ import annotations

import numpy as np

from utils.errors import DataError

GREY = np.float32(0.5)
"""What Darknet puts around a letterboxed image."""


def resize_darknet(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Stretch an image to width x height as Darknet's `resize_image` does.

    One oddity is kept, because networks see it in Darknet: the position of the last row is a product in float32, and
    for some heights (1024 -> 640, and 267 of the heights 2..4000 -> 416) it falls just short of the last row of the
    image. Then only the vanishing share of the row before it is taken, and the last row comes out almost black.

    Args:
        image: (C, H, W) float32; or uint8, which stands for value / 255 as in Darknet's loaders.
        width, height: of the result, in pixels.

    Returns:
        (C, height, width) float32, never the same memory as `image`.

    Raises:
        DataError: an image or a result without pixels.
    """
    image = _checked(image, width, height)
    result = np.empty((image.shape[0], height, width), dtype=np.float32)
    _resize_into(result, image)
    return result


def letterbox_darknet(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bring an image into width x height without changing its shape, as Darknet's `letterbox_image` does.

    The image is resized to `letterbox_size`, put at the integer half of what is left over, and surrounded with 0.5.

    Args:
        image: (C, H, W) float32; or uint8, which stands for value / 255.
        width, height: of the result, in pixels.

    Returns:
        (C, height, width) float32.

    Raises:
        DataError: an image or a result without pixels.
    """
    image = _checked(image, width, height)
    new_width, new_height = letterbox_size(image.shape[2], image.shape[1], width, height)
    left, top = (width - new_width) // 2, (height - new_height) // 2
    result = np.full((image.shape[0], height, width), GREY, dtype=np.float32)
    _resize_into(result[:, top : top + new_height, left : left + new_width], image)
    return result


def letterbox_size(image_width: int, image_height: int, width: int, height: int) -> tuple[int, int]:
    """Width and height, in pixels, that an image fills inside a letterbox of width x height.

    Integer division, as in Darknet; at least 1 (Darknet computes 0 for a very long and thin image, and draws nothing).
    """
    if np.float32(width) / np.float32(image_width) < np.float32(height) / np.float32(image_height):
        return width, max(1, image_height * width // image_width)
    return max(1, image_width * height // image_height), height


def _resize_into(result: np.ndarray, image: np.ndarray) -> None:
    """(C, H, W) float32 or uint8 into (C, height, width) float32, channel by channel: what is at work fits a cache."""
    (_, image_height, image_width), (_, height, width) = image.shape, result.shape
    if (image_width, image_height) == (width, height):
        for plane, out in zip(image, result, strict=True):
            _as_float(plane, out)
        return
    left, right, right_share = _columns(image_width, width)
    upper, lower, lower_share = _rows(image_height, height)
    needed = np.unique(np.concatenate((upper, lower)))  # a large image is reduced faster without its unused rows
    upper, lower = np.searchsorted(needed, upper), np.searchsorted(needed, lower)
    stretched, more = (np.empty((len(needed), width), dtype=np.float32) for _ in range(2))
    picked = np.empty((len(needed), width), dtype=image.dtype)
    below = np.empty((height, width), dtype=np.float32)
    for plane, out in zip(image, result, strict=True):
        plane = plane if len(needed) == image_height else plane[needed]
        _as_float(np.take(plane, left, axis=1, out=picked, mode="clip"), stretched)
        _as_float(np.take(plane, right, axis=1, out=picked, mode="clip"), more)
        stretched *= np.float32(1) - right_share
        more *= right_share
        stretched += more
        np.multiply(np.take(stretched, upper, axis=0, mode="clip"), (np.float32(1) - lower_share)[:, None], out=out)
        if image_height > 1:
            np.take(stretched, lower, axis=0, out=below, mode="clip")
            below *= lower_share[:, None]
            out[:-1] += below[:-1]  # `if (r == h-1) continue;`


def _as_float(plane: np.ndarray, out: np.ndarray) -> None:
    """Copy a plane; uint8 becomes value / 255, rounded to float32 once (`(float)data / 255.` gives the same)."""
    if plane.dtype == np.uint8:
        np.divide(plane, np.float32(255), out=out, dtype=np.float32)
    else:
        out[...] = plane


def _columns(image_width: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each column of the result: the two columns it lies between, and how far it is on its way to the right one."""
    position = np.arange(width, dtype=np.float32) * _scale(image_width, width)
    left = position.astype(np.int64)
    share = position - left.astype(np.float32)
    left[-1], share[-1] = image_width - 1, 0  # `if (c == w-1 || im.w == 1) val = get_pixel(im, im.w-1, r, k);`
    return left, np.minimum(left + 1, image_width - 1), share


def _rows(image_height: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each row of the result: the two rows it lies between, and how far it is on its way to the lower one."""
    position = np.arange(height, dtype=np.float32) * _scale(image_height, height)
    upper = position.astype(np.int64)
    share = position - upper.astype(np.float32)
    return upper, np.minimum(upper + 1, image_height - 1), share


def _scale(before: int, after: int) -> np.float32:
    """(before - 1) / (after - 1) in float32. Darknet divides by zero where after == 1; here it is the first pixel."""
    return np.float32(before - 1) / np.float32(after - 1) if after > 1 else np.float32(0)


def _checked(image: np.ndarray, width: int, height: int) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 3 or 0 in image.shape:
        raise DataError("image", f"has the shape {image.shape}", "give (channels, height, width), none of them 0")
    if width < 1 or height < 1:
        raise DataError("image", f"cannot be brought to {width}x{height} pixels",
                        "give a width and height of 1 or more")
    return image if image.dtype == np.uint8 else image.astype(np.float32, copy=False)
