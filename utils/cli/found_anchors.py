"""Anchors for a network by k-means over the boxes of a data set: what `make_cfg.py --anchors-from` and `train.py --arch` do."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from utils.darknet import Net
from utils.datasets import DetectionDataset, box_sizes_in, find_anchors
from utils.errors import DataError

_logger = logging.getLogger(__name__)


def found_anchors(source: Path, classes: int | None, count: int, net: Net, *, letterbox: bool,
                  seed: int = 0) -> list[tuple[float, float]]:
    """`count` widths and heights in pixels of the network's input, to a tenth of one, smallest first; says how well they fit.

    Args:
        source: a list of labelled images. classes: label lines of others are left out, and told.
        letterbox: whether the images will keep their shape in the input, which changes the shape of every box.

    Raises:
        DataError: the list cannot be used, or has too few different boxes.
    """
    problems: list[DataError] = []
    dataset = DetectionDataset.read(source, classes, problems=problems)
    if problems:
        _logger.warning("%d lines were left out; the first: %s", len(problems), problems[0])
    images = dataset.sizes() if letterbox else np.zeros((len(dataset), 2), np.int32)
    size = net.width, net.height
    found = find_anchors(box_sizes_in(size, dataset.labels, images, letterbox=letterbox), count, size, seed=seed)
    _logger.info("%d anchors for %d boxes: mean IoU %.3f, and %.1f %% of the boxes reach %.2f", count, found.boxes,
                 found.mean_iou, 100 * found.recall, found.threshold)
    return [(max(0.1, round(float(width), 1)), max(0.1, round(float(height), 1))) for width, height in found.anchors]
