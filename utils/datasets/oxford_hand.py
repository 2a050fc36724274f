"""The Oxford (VGG) hand data set: MATLAB files with the four corners of a rotated box per hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import ModuleType

import numpy as np

from utils.datasets.annotations import AnnotatedImage, Annotations, BoxCollector, Dropped
from utils.datasets.images import is_image_name, load_image
from utils.errors import DataError, EngineError

PARTS = ("training", "validation", "test")
NAMES = ("hand",)


def read_oxford_hand(root: str | Path, part: str, *, advance: Callable[[int], object] | None = None) -> Annotations:
    """Read one part of the data set.

    Each hand becomes the upright box around its four corners, cut at [0, W - 1] x [0, H - 1], class 0.

    Args:
        root: the folder hand_dataset, with training_dataset/training_data/{images,annotations} and so on below it.
        part: training, validation or test.
        advance: called with 1 after each image.

    Raises:
        DataError: the folder is missing or has no images. What is wrong with single images or boxes is in
            `Annotations.dropped`.
        EngineError: scipy, which reads MATLAB files, is not installed.
    """
    _scipy_io()
    folder = Path(root) / f"{part}_dataset" / f"{part}_data"
    files = sorted(path for path in (folder / "images").glob("*") if is_image_name(path))
    if not files:
        raise DataError(folder / "images", "holds no images",
                        f"name the folder hand_dataset that has {PARTS[0]}_dataset in it")
    dropped: list[Dropped] = []
    images: list[AnnotatedImage] = []
    clipped = 0
    for path in files:
        annotation = folder / "annotations" / f"{path.stem}.mat"
        try:
            hands = read_hands(annotation)
            height, width = load_image(path).shape[:2]
        except DataError as error:
            dropped.append(Dropped(Path(str(error.where)), "", "image", error.problem))
        else:
            collector = BoxCollector(annotation, width, height, dropped, limit=(width - 1.0, height - 1.0))
            for number, corners in enumerate(hands, start=1):
                (top, left), (bottom, right) = corners.min(axis=0), corners.max(axis=0)
                collector.add(f"hand {number}", 0, (left, top, right, bottom))
            images.append(collector.image(path, PurePosixPath(part) / path.name))
            clipped += collector.clipped
        if advance is not None:
            advance(1)
    return Annotations(NAMES, tuple(images), tuple(dropped), clipped)


def read_hands(path: str | Path) -> list[np.ndarray]:
    """The hands of one .mat file: (4, 2) float64 each, the corners a b c d as (y, x) in pixels.

    The file holds `boxes`, a 1 x N cell array of structs with the fields a, b, c, d.

    Raises:
        DataError: missing, no MATLAB file, or other contents.
        EngineError: scipy is not installed.
    """
    scipy_io = _scipy_io()
    try:
        content = scipy_io.loadmat(str(path))
    except FileNotFoundError:
        raise DataError(path, "does not exist", "unpack the data set again") from None
    except (OSError, ValueError, TypeError, NotImplementedError, scipy_io.matlab.MatReadError) as error:
        raise DataError(path, f"is no MATLAB file that scipy can read ({error})",
                        "unpack the data set again") from error
    try:
        return [_corners(cell) for cell in np.ravel(content["boxes"])]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(path, f"holds no cell array `boxes` of structs with corners a b c d ({error!r})",
                        "unpack the data set again") from error


def _corners(cell: np.ndarray) -> np.ndarray:
    record = np.ravel(cell)[0]
    return np.array([np.ravel(record[corner]).astype(np.float64)[:2] for corner in "abcd"]).reshape(4, 2)


def _scipy_io() -> ModuleType:
    try:
        import scipy.io
    except ImportError as error:
        raise EngineError("Oxford hand", f"reading MATLAB files needs scipy ({error})", "pip install scipy") from error
    return scipy.io
