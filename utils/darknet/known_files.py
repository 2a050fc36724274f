"""Which of the architectures that we can build a .weights file belongs to, by its length."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from utils.darknet.builder import ARCHITECTURES, build_cfg
from utils.darknet.network import parse_network
from utils.darknet.other_classes import classes_for_length
from utils.darknet.weights import float_count
from utils.wording import counted


@dataclass(frozen=True, slots=True)
class KnownFile:
    """architecture: its name. classes: for which it was trained. layers: held, where these are the first ones only."""

    architecture: str
    classes: int | None = None
    layers: int | None = None

    def __str__(self) -> str:
        if self.layers is not None:
            return f"the first {self.layers} layers of {self.architecture}"
        return self.architecture if self.classes is None else f"{self.architecture} with {counted(self.classes, 'class')}"


def known_file(path: str | Path, channels: int = 3) -> KnownFile | None:
    """What a .weights file of that length is; None where no architecture explains the length.

    Args:
        channels: of the images that it reads.

    Raises:
        WeightsError: the file cannot be read, or is no .weights file.
    """
    floats = float_count(path)
    for name in ARCHITECTURES:
        network = parse_network(build_cfg(name, channels=channels), f"{name}.cfg")
        classes = classes_for_length(network, floats)
        if classes is not None:
            return KnownFile(name, classes=classes)
        totals = accumulate(layer.parameters for layer in network.layers)
        for layer, total in zip(network.layers, totals, strict=True):
            if total == floats and layer.stored:
                return KnownFile(name, layers=layer.index + 1)
    return None
