"""One picture of many: a batch as the network sees it, or detections on several images, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.reports.drawing import _label, class_colour, class_name, enlargement

LONGEST = 640  # pixels of a tile's longer side; what is larger is shrunk to it
_GAP = 6
_PAPER = 255  # around the tiles
_EMPTY = 240  # beside pictures of another shape


def draw_batch(images: np.ndarray, targets: np.ndarray, names: Sequence[str] = (), *, columns: int = 4,
               limit: int = 16) -> np.ndarray:
    """Draw the images of a training batch with their boxes and names, as a grid.

    Args:
        images: (N, 3, H, W) or (N, 1, H, W) uint8, RGB or grey.
        targets: (n, 6) of image index, class, x and y of the centre, width, height; these four relative to
            the image.
        names: one per class; a name that is not ASCII is drawn as `class 7`.
        columns: tiles in a row.
        limit: at most so many images, the first ones.

    Returns:
        (H', W', 3) uint8 RGB.

    Raises:
        ValueError: arrays of another shape or type, or no images.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(f"images are (N, 3, H, W) or (N, 1, H, W) uint8, got {images.shape} {images.dtype}")
    if targets.ndim != 2 or targets.shape[1] != 6:
        raise ValueError(f"targets are (n, 6), got {targets.shape}")
    pictures = []
    for index, image in enumerate(images[:limit]):
        rgb = np.ascontiguousarray(np.broadcast_to(image.transpose(1, 2, 0), (*image.shape[1:], 3)))
        pictures.append(_with_boxes(rgb, targets[targets[:, 0] == index, 1:], names))
    return draw_gallery(pictures, columns=columns)


def draw_gallery(pictures: Sequence[np.ndarray], *, columns: int = 4) -> np.ndarray:
    """Put pictures of any sizes into a grid, row by row, on white.

    Pictures longer than 640 pixels are shrunk to that; smaller ones are centred in a tile, never enlarged.

    Args:
        pictures: (H, W, 3) uint8 RGB each, such as `draw_detections` returns.
        columns: tiles in a row.

    Returns:
        (H', W', 3) uint8 RGB.

    Raises:
        ValueError: no pictures.
    """
    if not pictures:
        raise ValueError("there are no pictures to put into a grid")
    tiles = [_shrunk(picture) for picture in pictures]
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    canvas = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = _GAP + row * (height + _GAP), _GAP + column * (width + _GAP)
        canvas[top : top + height, left : left + width] = _EMPTY
        top, left = top + (height - tile.shape[0]) // 2, left + (width - tile.shape[1]) // 2
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def _with_boxes(image: np.ndarray, targets: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Boxes and names without a score; targets (n, 5) class xc yc w h, relative. Large boxes lie below small ones."""
    import cv2

    canvas = _shrunk(image)
    factor = min(enlargement(*canvas.shape[:2]), LONGEST // max(canvas.shape[:2]))
    if factor > 1:
        canvas = cv2.resize(canvas, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    height, width = canvas.shape[:2]
    line = max(1, round(min(height, width) / 240))
    for index, x, y, w, h in targets[np.argsort(-targets[:, 3] * targets[:, 4], kind="stable")]:
        corners = np.array([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height])
        left, top, right, bottom = map(int, np.clip(np.nan_to_num(corners), -1e6, 1e6).round())
        colour, name = class_colour(int(index)), class_name(int(index), names)
        cv2.rectangle(canvas, (left, top), (right, bottom), colour, line, cv2.LINE_AA)
        _label(canvas, name if name.isascii() else f"class {int(index)}", (left, top), colour, line)
    return canvas


def _shrunk(image: np.ndarray) -> np.ndarray:
    """The image, or a smaller one whose longer side is 640 pixels; a copy in both cases."""
    import cv2

    height, width = image.shape[:2]
    factor = LONGEST / max(height, width)
    if factor >= 1:
        return image.copy()
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
