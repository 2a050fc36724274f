"""Label files: one line `class xc yc w h` per object, relative to the image; no file or no line means background."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from utils.datasets.lists import read_lines
from utils.errors import DataError, SourceLine

NOISE = 1e-3
"""How far a number may lie outside [0, 1] and still be rounding: it is clipped. Beyond, it is an error."""

_LONGEST_ID = 10  # digits of a class id that are looked at: such a number is too large, however it goes on
_IMAGE_FOLDERS = ("images", "JPEGImages")


def label_path(image: str | Path) -> Path:
    """Where the labels of an image are: the last folder `images` (VOC: `JPEGImages`) becomes `labels`, the ending .txt.

    Without such a folder they lie beside the image. Only whole folder names count, and only the last one, so
    `/data/images2/images/a.images.jpg` becomes `/data/images2/labels/a.images.txt`. Source: Darknet's utils.c,
    replace_image_to_label, which replaces text anywhere in the path.
    """
    path = Path(image).with_suffix(".txt")
    parts = list(path.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] in _IMAGE_FOLDERS:
            parts[i] = "labels"
            return Path(*parts)
    return path


def read_labels(path: str | Path, classes: int | None = None, *, problems: list[DataError] | None = None) -> np.ndarray:
    """The objects of one label file.

    Args:
        path: of the label file, see `label_path`.
        classes: how many names there are; class ids must be below. None takes any.
        problems: collects a DataError per unusable line, which is then left out; by default the first one is raised.

    Returns:
        (n, 5) float32: class, centre x, centre y, width, height, the last four in [0, 1] of the image. A missing or
        empty file gives (0, 5): an image without objects.

    Raises:
        DataError: the file cannot be read, or (unless collected) a line is unusable: another number of columns, no
            number, a class id that is no whole number, negative or too large, a coordinate outside [0, 1], no area.
    """
    path = Path(path)
    if not path.exists():
        return np.zeros((0, 5), dtype=np.float32)
    rows = []
    for number, line in enumerate(read_lines(path, "label file"), start=1):
        if not line:
            continue
        try:
            rows.append(_row(line, classes))
        except _Unusable as reason:
            problem, remedy = reason.args
            error = DataError(SourceLine(str(path), number), problem, remedy)
            if problems is None:
                raise error from None
            problems.append(error)
    return np.array(rows, dtype=np.float32).reshape(-1, 5)


class _Unusable(Exception):
    """Problem and remedy of one line."""


def _row(line: str, classes: int | None) -> tuple[float, ...]:
    """One line as (class, xc, yc, w, h)."""
    words = line.split()
    if len(words) != 5:
        raise _Unusable(*_columns_problem(len(words)))
    values = []
    for word, name in zip(words[1:], ("x", "y", "width", "height"), strict=True):
        value = _number(word)
        if not -NOISE <= value <= 1 + NOISE:
            raise _Unusable(f"{name} {word} lies outside [0, 1]",
                            "labels are relative to the image: divide pixels by its width or height")
        values.append(min(max(value, 0.0), 1.0))
    if values[2] <= 0 or values[3] <= 0:
        raise _Unusable(f"the box has no area (width {words[3]}, height {words[4]})", "remove the line")
    return (_class(words[0], classes), *values)


def _columns_problem(count: int) -> tuple[str, str]:
    problem = f"has {count} column{'s' * (count != 1)} instead of 5"
    if count == 6:
        return problem, "write `class xc yc w h`; a confidence does not belong into labels"
    if count > 6 and count % 2:
        return problem, "write `class xc yc w h`; this looks like the polygon of a segmentation"
    return problem, "write `class xc yc w h`"


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or "_" in word:
        raise _Unusable(f"{word!r} is not a number", "write `class xc yc w h`, numbers with a decimal point")
    return value


def _class(word: str, classes: int | None) -> float:
    if not word.removeprefix("-").isdecimal():
        raise _Unusable(f"the class id {word!r} is not a whole number", "write 0 for the first name, 1 for the second")
    value = int(word[:_LONGEST_ID])
    if value < 0:
        raise _Unusable(f"the class id {value} is negative", "class ids start at 0")
    if classes is not None and value >= classes:
        count = f"there are {classes} names, so the largest id is {classes - 1}" if classes != 1 else \
            "there is 1 name, so the only id is 0"
        raise _Unusable(f"the class id {value} is too large: {count}", "add the missing names or correct the id")
    return float(value)
