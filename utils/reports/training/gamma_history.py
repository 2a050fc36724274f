"""The pressed gammas of every epoch, kept in a file, so that a resumed training draws the whole story."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from utils.atomic import atomic_write

BEFORE = -1
"""The epoch under which the gammas are kept that a training began with."""


class GammaHistory:
    """|gamma| by epoch and layer, in an .npz file of half-precision numbers.

    Args:
        path: of the file; what it holds is read if `first_epoch` says that the training goes on, else it is replaced.
        first_epoch: the epoch that comes next; later ones in the file will be done again and are dropped.
    """

    def __init__(self, path: Path, *, first_epoch: int = 0) -> None:
        self.path = path
        self._epochs: dict[int, dict[int, np.ndarray]] = {}
        if first_epoch > 0:
            self._epochs = {epoch: layers for epoch, layers in _read(path).items() if epoch < first_epoch}

    def __contains__(self, epoch: int) -> bool:
        return epoch in self._epochs

    def add(self, epoch: int, layers: Mapping[int, np.ndarray]) -> None:
        """Keep the gammas at the end of an epoch, or those `BEFORE` the first.

        Raises:
            OutputError: the file cannot be written.
        """
        self._epochs[epoch] = {layer: np.asarray(values, np.float16) for layer, values in layers.items()}
        arrays: dict[str, Any] = {f"{epoch}/{layer}": values for epoch, layers in self._epochs.items() for layer, values in layers.items()}
        with atomic_write(self.path) as file:
            np.savez_compressed(file, **arrays)

    def layers(self, epoch: int) -> dict[int, np.ndarray]:
        """The gammas of an epoch by layer; KeyError if they are not there."""
        return self._epochs[epoch]

    def chosen(self, most: int) -> list[tuple[str, np.ndarray]]:
        """(label, all gammas) of at most `most` epochs, evenly spread, the first and the last among them."""
        epochs = sorted(self._epochs)
        if not epochs:
            return []
        picked = np.unique(np.linspace(0, len(epochs) - 1, most).round().astype(int))
        return [("start" if epochs[i] == BEFORE else f"epoch {epochs[i] + 1}",
                 np.concatenate(list(self._epochs[epochs[i]].values())).astype(np.float32)) for i in picked]


def _read(path: Path) -> dict[int, dict[int, np.ndarray]]:
    """What is in the file; nothing if there is none, or it is damaged: it only serves pictures."""
    found: dict[int, dict[int, np.ndarray]] = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for name in arrays.files:
                epoch, layer = map(int, name.split("/"))
                found.setdefault(epoch, {})[layer] = arrays[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return {}
    return found
