"""--report: the page, its picture, and the images that both networks looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.atomic import write_text
from utils.cli.pruning.measuring import Validation
from utils.cli.pruning.pruned_pair import PrunedPair
from utils.reports import draw_pruning, plain, pruning_page, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

    from utils.reports import SideBySide

_IMAGES = 4
_CONFIDENCE = 0.25  # as detect.py shows them


def write_page(page: Path, picture: Path, facts: Mapping[str, Any], pair: PrunedPair, validation: Validation | None) -> None:
    """Write the page and the picture at these places.

    Raises:
        OutputError: they cannot be written. EngineError: jinja2 or matplotlib is not installed.
    """
    known = plain(facts)
    write_text(page, pruning_page(known, _pictures(pair, validation)))
    draw_pruning(known, picture)


def _pictures(pair: PrunedPair, validation: Validation | None) -> list[SideBySide]:
    """A few images, evenly spread over the data set, with the surer boxes of both networks."""
    if validation is None or pair.evaluations is None:
        return []
    dataset, (before, after) = validation.dataset, pair.evaluations
    chosen = np.unique(np.linspace(0, len(dataset) - 1, _IMAGES).round().astype(int))
    return [side_by_side(before.images[i].name, dataset[int(i)].image, _sure(before.detections[i]), _sure(after.detections[i]),
                         dataset.names) for i in chosen]


def _sure(detections: np.ndarray) -> np.ndarray:
    return detections[detections[:, 4] >= _CONFIDENCE]
