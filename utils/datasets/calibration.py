"""Calibration images: a few, drawn from many, without labels; they show a network what it usually sees."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.datasets.images import load_image, prepare
from utils.errors import DataError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Images at the size of a network, (N, C, H, W) float32 in [0, 1], and the files they came from."""

    images: np.ndarray
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, batch_size: int) -> Iterator[np.ndarray]:
        """The images in order, batch_size at a time; the last batch may be smaller."""
        for start in range(0, len(self), batch_size):
            yield self.images[start:start + batch_size]


def calibration_images(paths: Sequence[Path], count: int, size: tuple[int, int], *, letterbox: bool = False,
                       channels: int = 3, seed: int = 0) -> CalibrationImages:
    """Draw `count` images without repetition and bring them to the size of a network, in the order of the list.

    Unreadable images are reported and others take their place; fewer than wanted are reported, too.

    Args:
        size: (height, width) of the network's input, in pixels.
        letterbox, channels: as in `prepare`.

    Raises:
        DataError: none of the images can be read, or each is of a single colour: nothing could be measured on them.
    """
    order = np.random.default_rng(seed).permutation(len(paths)).tolist()
    found: dict[int, np.ndarray] = {}
    broken: list[DataError] = []
    several_colours = False
    for index in order:
        if len(found) == count:
            break
        try:
            image = load_image(paths[index])
        except DataError as error:
            broken.append(error)
            continue
        several_colours = several_colours or bool((image != image[0, 0]).any())
        found[index] = prepare(image, size, letterbox, channels=channels)[0]
    for one in broken[:5]:
        _log.warning("%s; left out", one)
    if len(broken) > 5:
        _log.warning("%d more calibration images cannot be read", len(broken) - 5)
    if not found:
        raise broken[0] if broken else DataError("calibration", "has no image", "give a folder or a list of images")
    if len(found) < count:
        _log.warning("%d calibration images were wanted, and there are %d: the more they show, the better a cut is "
                     "repaired", count, len(found))
    chosen = sorted(found)
    if not several_colours:
        raise DataError("calibration", f"each of the {len(chosen)} images is of a single colour, {paths[chosen[0]]} for one",
                        "give images like those that the network shall see")
    return CalibrationImages(np.stack([found[index] for index in chosen]), tuple(paths[index] for index in chosen))
