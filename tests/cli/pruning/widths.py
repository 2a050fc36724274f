"""What is left of a network, read from its cfg."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from utils.darknet import read_network


def widths(cfg: Path) -> dict[int, int]:
    """The channels of each convolution, by its layer."""
    return {layer.index: layer.shape.channels for layer in read_network(cfg).layers if layer.kind == "convolutional"}


def blocks_left(cfg: Path) -> list[int]:
    """How many [shortcut]s each stage still has; stages differ by the size of their maps."""
    heights = [layer.shape.height for layer in read_network(cfg).layers if layer.kind == "shortcut"]
    return [len(list(stage)) for _, stage in groupby(heights)]
