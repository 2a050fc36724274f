"""Agreement: how well a network finds what another one finds; a measure of a cut that needs no labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from utils.darknet import Network
from utils.datasets import DetectionDataset
from utils.deploy import Engine
from utils.training.decoding import Selection
from utils.training.evaluation import detect_dataset, evaluate_engine

WORKING = Selection(conf=0.25, iou=0.45)
"""The boxes that a user of Darknet sees."""


def detections_as_labels(engine: Engine, network: Network, paths: Sequence[Path], *, letterbox: bool = False,
                         selection: Selection = WORKING, workers: int = 2,
                         advance: Callable[[int], object] | None = None) -> DetectionDataset:
    """A data set whose labels are what a network finds at its working threshold.

    Raises:
        DataError: an image that cannot be read.
    """
    blank = DetectionDataset(paths, [np.zeros((0, 5), dtype=np.float32)] * len(paths))
    found = detect_dataset(engine, network, blank, selection=selection, letterbox=letterbox, workers=workers, advance=advance)
    labels = [_labels(boxes, size) for boxes, size in zip(found.detections, found.sizes, strict=True)]
    return DetectionDataset(paths, labels)


def agreement(engine: Engine, network: Network, truth: DetectionDataset, *, letterbox: bool = False, workers: int = 2,
              advance: Callable[[int], object] | None = None) -> float:
    """mAP@0.5 of a network against what another one found; 1 if it finds the same, NaN if there was nothing to find."""
    result = evaluate_engine(engine, network, truth, letterbox=letterbox, workers=workers, advance=advance)
    return result.metrics.map50_coco


def _labels(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(n, 6) x1 y1 x2 y2 score class in pixels -> (n, 5) class xc yc w h, relative."""
    corners = boxes[:, :4] / np.array([*size, *size], dtype=np.float64)
    low, high = corners[:, :2], corners[:, 2:]
    return np.concatenate((boxes[:, 5:6], (low + high) / 2, high - low), axis=1).astype(np.float32)
