"""What an annotated data set holds, whatever its format, and what of it could not be used."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from utils.errors import DataError


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image and its objects.

    path: of the image file. relative: its name inside the data set, which a converted set keeps. width, height: in
    pixels. labels: (n, 5) float32 class xc yc w h relative to the image. ignored: (n,) bool, COCO's crowds and VOC's
    difficult objects: finding them is neither right nor wrong. area: (n,) float32 square pixels (COCO: of the mask).
    """

    path: Path
    relative: PurePosixPath
    width: int
    height: int
    labels: np.ndarray = field(repr=False)
    ignored: np.ndarray = field(repr=False)
    area: np.ndarray = field(repr=False)

    @property
    def ground_truth(self) -> np.ndarray:
        """(n, 7) float32: class xc yc w h, ignored (0 or 1), area in square pixels."""
        return np.column_stack((self.labels, self.ignored, self.area)).astype(np.float32)


LARGEST_SIDE = 1_000_000
"""Pixels from which on the side of an image is not believed but looked up in the image."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that is in the source but not in the result.

    file: of the annotation, or the image. item: which of its objects, empty for the file as a whole. what: "box" or
    "image".
    """

    file: Path
    item: str
    what: str
    reason: str

    @property
    def where(self) -> str:
        """File and item, as a message names them."""
        return f"{self.file} {self.item}".rstrip()


@dataclass(frozen=True)
class Annotations:
    """A data set, or a part of it. clipped: boxes that reached beyond their image and were cut at its border."""

    names: tuple[str, ...]
    images: tuple[AnnotatedImage, ...] = field(repr=False)
    dropped: tuple[Dropped, ...] = ()
    clipped: int = 0

    @property
    def boxes(self) -> int:
        """How many objects there are."""
        return sum(len(image.labels) for image in self.images)

    @property
    def class_counts(self) -> Mapping[str, int]:
        """How many objects of each name."""
        found = Counter(int(c) for image in self.images for c in image.labels[:, 0])
        return {name: found[i] for i, name in enumerate(self.names)}


class BoxCollector:
    """Gathers the boxes of one image: pixels become relative labels, boxes are cut at its border, empty ones left out.

    file: of the annotations. width, height: of the image, in pixels. dropped: receives what cannot be used.
    limit: x and y at which boxes are cut; by default width and height.
    """

    def __init__(self, file: Path, width: int, height: int, dropped: list[Dropped], *,
                 limit: tuple[float, float] | None = None) -> None:
        self.file, self.width, self.height = file, width, height
        self.limit = (float(width), float(height)) if limit is None else limit
        self.clipped = 0
        self._dropped = dropped
        self._rows: list[tuple[float, ...]] = []

    def add(self, item: str, label: int, edges: tuple[float, float, float, float], *, ignored: bool = False,
            area: float | None = None) -> None:
        """Add a box with the edges left, top, right, bottom in pixels, or note why it cannot be used."""
        if not all(map(math.isfinite, edges)):
            self.drop(item, "a coordinate is not a number")
            return
        left, top, right, bottom = edges
        if right <= left or bottom <= top:
            self.drop(item, f"no area ({_g(right - left)} x {_g(bottom - top)} pixels)")
            return
        x1, x2 = max(left, 0.0), min(right, self.limit[0])
        y1, y2 = max(top, 0.0), min(bottom, self.limit[1])
        if x2 <= x1 or y2 <= y1:
            self.drop(item, f"outside the image of {self.width}x{self.height} pixels "
                             f"({', '.join(_g(v) for v in edges)})")
            return
        self.clipped += (x1, y1, x2, y2) != edges
        area = (x2 - x1) * (y2 - y1) if area is None else area
        self._rows.append((label, (x1 + x2) / 2 / self.width, (y1 + y2) / 2 / self.height, (x2 - x1) / self.width,
                           (y2 - y1) / self.height, ignored, area))

    def drop(self, item: str, reason: str) -> None:
        """Note a box that is left out."""
        self._dropped.append(Dropped(self.file, item, "box", reason))

    def image(self, path: Path, relative: PurePosixPath) -> AnnotatedImage:
        """The image with all boxes that were added."""
        rows = np.array(self._rows, dtype=np.float32).reshape(-1, 7)
        return AnnotatedImage(path, relative, self.width, self.height, rows[:, :5], rows[:, 5] > 0, rows[:, 6])


def file_bytes(path: str | Path, what: str) -> bytes:
    """The bytes of an annotation file.

    Raises:
        DataError: missing or unreadable.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(path, "does not exist", f"check the path of the {what}") from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", f"give a readable {what}") from error
    except ValueError:
        raise DataError(repr(str(path)), "holds a zero byte, so it is no path", f"check the path of the {what}") from None


def _g(value: float) -> str:
    return f"{value:g}"
