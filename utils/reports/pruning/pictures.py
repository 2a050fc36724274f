"""Detections before and after a cut, as pictures that lie inside the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from utils.reports.shots import shot


@dataclass(frozen=True)
class SideBySide:
    """One image with what was found in it before and after.

    name: of its file. before, after: `data:` addresses. found_before, found_after: in words.
    """

    name: str
    before: str = field(repr=False)
    after: str = field(repr=False)
    found_before: str
    found_after: str
    width: int
    height: int


def side_by_side(name: str, image: np.ndarray, before: np.ndarray, after: np.ndarray, names: Sequence[str]) -> SideBySide:
    """Draw the boxes of two networks on an image.

    Args:
        image: (H, W, 3) uint8, RGB.
        before, after: (n, 6) of x1, y1, x2, y2 in pixels of this image, score, class.
        names: of the classes.
    """
    one, two = (shot(image, boxes, names) for boxes in (before, after))
    return SideBySide(name, one.address, two.address, one.found, two.found, one.width, one.height)
