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
from utils.training.decoding import HeadDecoder, Selection
from utils.training.detector import Detector
from utils.wording import counted

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


@dataclass(frozen=True)
class Detected:
    """What an engine found in a data set: per image its file, (width, height), detections (n, 6) and its labels."""

    images: tuple[Path, ...] = field(repr=False)
    sizes: tuple[tuple[int, int], ...] = field(repr=False)
    detections: tuple[np.ndarray, ...] = field(repr=False)
    labels: tuple[np.ndarray, ...] = field(repr=False)


def detect_dataset(engine: Engine, network: Network, dataset: DetectionDataset, *, selection: Selection = EVALUATION,
                   letterbox: bool = False, rect: bool = False, batch_size: int = 8, workers: int = 2,
                   advance: Callable[[int], object] | None = None) -> Detected:
    """Detect in all images of a data set, in its order.

    Args:
        engine: `utils.deploy.open_engine(...)`, `ModelEngine(model)`, or anything with `heads`.
        network: of the same cfg; gives the input size and what the heads mean.
        selection: which boxes count.
        letterbox: as in `Detector`.
        rect: letterbox images of similar shape to a common, not square size; the longer side of the network's input is
            theirs. For engines that take any input size.
        batch_size: images per call of the engine.
        workers: threads that read images while the engine computes; 0 reads in between.
        advance: called with the number of images that are done since the last call.

    Raises:
        DataError: an image that cannot be read.
    """
    detector = Detector(engine, network, letterbox=letterbox or rect, selection=selection)
    size = (detector.height, detector.width)
    batches = (dataset.rect_batches(batch_size, max(size), workers=workers, channels=detector.channels) if rect else
               dataset.batches(batch_size, size, letterbox, workers, channels=detector.channels))
    rows = {}
    for batch in batches:
        found = detector.detect_prepared(batch.images, batch.geometries)
        for index, path, geometry, detections, labels in zip(batch.indices, batch.paths, batch.geometries, found,
                                                             batch.labels, strict=True):
            rows[index] = (path, (geometry.image_width, geometry.image_height), detections, labels)
        if advance is not None:
            advance(len(batch))
    columns = zip(*(rows[index] for index in sorted(rows)), strict=True) if rows else ((),) * 4
    return Detected(*map(tuple, columns))


def evaluate_engine(engine: Engine, network: Network, dataset: DetectionDataset,
                    names: Sequence[str] | None = None, *, selection: Selection = EVALUATION, letterbox: bool = False,
                    rect: bool = False, batch_size: int = 8, workers: int = 2,
                    advance: Callable[[int], object] | None = None) -> EvaluationResult:
    """Detect in all images of a data set and compare with their labels.

    Args:
        names: one per class of the network; by default those of the data set.
        The others are those of `detect_dataset`.

    Raises:
        DataError: no images; an image or label that cannot be read; labels that name a class the network has not;
            another number of names than classes.
    """
    stopwatch = _Stopwatch(engine)
    names = _checked_names(dataset, names, HeadDecoder(network).classes, network.path)
    found = detect_dataset(stopwatch, network, dataset, selection=selection, letterbox=letterbox, rect=rect,
                           batch_size=batch_size, workers=workers, advance=advance)
    metrics = evaluate(found.detections, found.labels, found.sizes, names)
    return EvaluationResult(metrics, engine.name, found.images, found.sizes, found.detections, stopwatch.seconds)


def _checked_names(dataset: DetectionDataset, names: Sequence[str] | None, classes: int, cfg: str) -> Sequence[str]:
    """DataError unless there are images, and as many names as classes."""
    if not len(dataset):
        raise DataError("data", "there are no images to evaluate on", "check the list that valid= names")
    names = names or dataset.names or [f"class {i}" for i in range(classes)]
    if len(names) != classes:
        raise DataError("names", f"there are {len(names)}, but the heads of {cfg} know {counted(classes, 'class')}",
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
