"""How good a network is at this point of its training, measured by all processes together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np

from models import Darknet
from utils.darknet import Network
from utils.datasets import DetectionDataset
from utils.detection import evaluate
from utils.training.distributed import Processes
from utils.training.evaluation import detect_dataset
from utils.training.model_engine import ModelEngine
from utils.training.trainer import StopEvaluation

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]


class Validation:
    """Evaluates a network on labelled images, as test.py does; call it with the network, on every process.

    Args:
        dataset: the labelled images, the same on every process; each detects in its share of them.
        network: gives the input size and the meaning of the heads.
        names: of the classes.
        letterbox, rect: as in `detect_dataset`.
        bar: opens a progress bar.

    Attributes:
        last: per image of the data set the detections (n, 6) of the last evaluation, in pixels; on rank 0 only.
    """

    def __init__(self, dataset: DetectionDataset, network: Network, names: Sequence[str], *, letterbox: bool, rect: bool,
                 batch_size: int, workers: int, processes: Processes, bar: Bar) -> None:
        self.dataset, self.network, self.names = dataset, network, tuple(names)
        self.letterbox, self.rect, self.batch_size, self.workers = letterbox, rect, batch_size, workers
        self.processes, self.bar = processes, bar
        self.last: Sequence[np.ndarray] = ()

    def __call__(self, model: Darknet, stopping: Callable[[], bool] = lambda: False) -> Mapping[str, float]:
        """precision, recall, f1, map50 (COCO's at IoU 0.5) and map (COCO's), the same on every process.

        Raises:
            StopEvaluation: `stopping()` became true; never with several processes, because the others would wait.
        """
        engine = ModelEngine(self._of_main(model).fuse())
        share = self.dataset.share(self.processes.rank, self.processes.world)
        indices = range(self.processes.rank, len(self.dataset), self.processes.world)
        with self.bar("evaluating", len(share)) as show:
            def advance(images: int) -> None:
                show(images)
                if self.processes.world == 1 and stopping():
                    raise StopEvaluation

            found = detect_dataset(engine, self.network, share, letterbox=self.letterbox, rect=self.rect,
                                   batch_size=self.batch_size, workers=self.workers, advance=advance)
        parts = self.processes.gather([(index, detections, size) for index, detections, size in
                                       zip(indices, found.detections, found.sizes, strict=True)])
        metrics = None
        if parts is not None:
            rows = sorted((row for part in parts for row in part), key=lambda row: row[0])
            self.last = [detections for _, detections, _ in rows]
            figures = evaluate(self.last, self.dataset.labels, [size for _, _, size in rows], self.names)
            metrics = {"precision": figures.precision, "recall": figures.recall, "f1": figures.f1,
                       "map50": figures.map50_coco, "map": figures.map}
        return self.processes.broadcast(metrics)

    def _of_main(self, model: Darknet) -> Darknet:
        """A copy with the batch norm statistics of the main process: each has its own, and its are the ones saved."""
        same = copy.deepcopy(model)
        if self.processes.world > 1:
            theirs = self.processes.broadcast([buffer.cpu() for buffer in same.buffers()])
            for buffer, value in zip(same.buffers(), theirs, strict=True):
                buffer.copy_(value)
        return same
