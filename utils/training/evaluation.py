"""How good a pair is on labelled images, whichever engine computes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.darknet import Network
from utils.datasets import DetectionDataset
from utils.deploy import Engine
from utils.detection import Metrics, evaluate
from utils.errors import DataError
from utils.training.decoding import Selection
from utils.training.detector import Detector

EVALUATION = Selection(conf=0.001, iou=0.45)
"""Boxes for an mAP: nearly all of them. Darknet's own `map` takes 0.005 and 0.45; COCO results are made with 0.001."""


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation gave.

    metrics: all figures. images, sizes, detections: per image its file, (width, height) and (n, 6) x1 y1 x2 y2 score
    class in its pixels. seconds: of the engine alone, without reading images and without decoding.
    """

    metrics: Metrics
    engine: str
    images: tuple[Path, ...] = field(repr=False)
    sizes: tuple[tuple[int, int], ...] = field(repr=False)
    detections: tuple[np.ndarray, ...] = field(repr=False)
    seconds: float

    @property
    def milliseconds_per_image(self) -> float:
        """Time of the engine per image; includes its first, slow call."""
        return 1000 * self.seconds / max(1, len(self.images))


def evaluate_engine(engine: Engine, network: Network, dataset: DetectionDataset,
                    names: Sequence[str] | None = None, *, selection: Selection = EVALUATION, letterbox: bool = False,
                    batch_size: int = 8, workers: int = 2, advance: Callable[[int], object] | None = None) -> EvaluationResult:
    """Detect in all images of a data set and compare with their labels.

    Args:
        engine: `utils.deploy.open_engine(...)`, `ModelEngine(model)`, or anything with `heads`.
        network: of the same cfg; gives the input size and what the heads mean.
        names: one per class of the network; by default those of the data set.
        selection: which boxes count.
        letterbox: as in `Detector`.
        batch_size: images per call of the engine.
        workers: threads that read images while the engine computes; 0 reads in between.
        advance: called with the number of images that are done since the last call.

    Raises:
        DataError: no images; an image or label that cannot be read; labels that name a class the network has not;
            another number of names than classes.
    """
    stopwatch = _Stopwatch(engine)
    detector = Detector(stopwatch, network, letterbox=letterbox, selection=selection)
    names = _checked_names(dataset, names, detector.classes, network.path)
    images, sizes, labels, detections = [], [], [], []
    for batch in dataset.batches(batch_size, (detector.height, detector.width), letterbox, workers,
                                 channels=detector.channels):
        detections += detector.detect_prepared(batch.images, batch.geometries)
        images += batch.paths
        sizes += [(geometry.image_width, geometry.image_height) for geometry in batch.geometries]
        labels += batch.labels
        if advance is not None:
            advance(len(batch))
    metrics = evaluate(detections, labels, sizes, names)
    return EvaluationResult(metrics, engine.name, tuple(images), tuple(sizes), tuple(detections),
                            stopwatch.seconds)


def _checked_names(dataset: DetectionDataset, names: Sequence[str] | None, classes: int, cfg: str) -> Sequence[str]:
    """DataError unless there are images, and as many names as classes."""
    if not len(dataset):
        raise DataError("data", "there are no images to evaluate on", "check the list that valid= names")
    names = names or dataset.names or [f"class {i}" for i in range(classes)]
    if len(names) != classes:
        raise DataError("names", f"there are {len(names)}, but the heads of {cfg} know {classes} classes",
                        "give the names that belong to this cfg")
    return names


class _Stopwatch:
    """An engine that knows how long it computed."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.name, self.threads = engine, engine.name, getattr(engine, "threads", None)
        self.seconds = 0.0

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        start = time.perf_counter()
        try:
            return self.engine.heads(x)
        finally:
            self.seconds += time.perf_counter() - start
