"""A training made visible: bar, table, results.csv, pictures, TensorBoard."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from utils.cli.progress import progress_bar
from utils.cli.training.inputs import TrainingInputs
from utils.datasets import load_image
from utils.errors import BonsaiError
from utils.reports import draw_detections, units
from utils.reports.training import (
    GammaHistory,
    ResultsCsv,
    TensorBoardLog,
    draw_batch,
    draw_curves,
    draw_gallery,
    draw_gamma_history,
    draw_layer_gammas,
    epoch_header,
    epoch_line,
    final_table,
    losses_line,
    open_tensorboard,
    read_results,
    write_png,
)
from utils.reports.training.gamma_history import BEFORE
from utils.sparsity import Gammas
from utils.training.events import BatchReport, EpochReport, Event
from utils.training.run_folder import RunFolder
from utils.training.trainer import Trainer
from utils.training.validation import Validation

_logger = logging.getLogger(__name__)

SHOWN_CONFIDENCE = 0.25  # Darknet's
SHOWN_IMAGES = 8
HISTOGRAMS = 12          # in the picture of gammas over the epochs
LINES_PER_HEADER = 25


class Watch:
    """Shows the events of one training; on rank 0 only. A context manager, because logs want to be closed.

    Args:
        folder: of the run; results.csv, results.png, train_batch.png, valid_detections.png and TensorBoard's log go there.
        resumed: whether results.csv goes on.
    """

    def __init__(self, args: argparse.Namespace, inputs: TrainingInputs, trainer: Trainer, folder: Path, *,
                 resumed: bool) -> None:
        self.quiet, self.inputs, self.trainer, self.folder = args.quiet, inputs, trainer, folder
        self._csv = ResultsCsv(folder / "results.csv", first_epoch=trainer.progress.epoch if resumed else 0)
        self._board: TensorBoardLog | None = open_tensorboard(folder, args.tensorboard)
        self._gammas = GammaHistory(folder / "gammas.npz", first_epoch=trainer.progress.epoch if resumed else 0)
        self._open = ExitStack()
        self._advance: Callable[..., None] | None = None
        self._lines = 0
        self._epoch_start = time.perf_counter()

    def __enter__(self) -> Watch:
        self._say(f"{self.inputs.cfg_name}: {units.count(self.inputs.network.parameters)} parameters, "
                  f"{self.inputs.network.net.width}x{self.inputs.network.net.height}, "
                  f"{len(self.trainer.batches)} batches of {self.trainer.batches.batch_size}, on {self.trainer.device}; "
                  f"results go to {self.folder}")
        self._first_batch()
        if self.trainer.sparsity is not None and BEFORE not in self._gammas:
            self._gammas.add(BEFORE, self._pressed().layers)
            if self._board is not None:
                self._board.layer_gammas("before_train_perlayer_bn_weights", self._pressed().layers)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._open.close()
        self._csv.close()
        if self._board is not None:
            self._board.close()

    def show(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case BatchReport():
                self._batch(event)
            case EpochReport():
                self._epoch(event)

    def finish(self, run: RunFolder) -> None:
        """The last words: what was written, and what to do with it."""
        self._pictures(last=True)
        self._say(final_table(read_results(self.folder / "results.csv")))
        for file in run.written():
            self._say(f"{file}  {units.file_size(file.stat().st_size)}")
        weights = run.path / "best.weights"
        weights = weights if weights.exists() else run.path / "last.weights"
        self._say(f"python test.py --cfg {run.cfg} --weights {weights} --data {self.inputs.data.path} --engine opencv")
        if self.trainer.sparsity is not None:
            self._say(f"python slim_prune.py --cfg {run.cfg} --weights {run.path / 'last.weights'} "
                      f"--data {self.inputs.data.path} --global_percent 0.6")

    # -- one batch ----------------------------------------------------------------------------------------------------

    def _batch(self, report: BatchReport) -> None:
        if self._advance is None:
            description = f"epoch {report.epoch + 1}/{self.trainer.options.epochs}"
            self._epoch_start, self._images = time.perf_counter(), 0
            self._advance = self._open.enter_context(
                progress_bar(description, report.batches, unit="batch", quiet=self.quiet))
            if report.batch:
                self._advance(report.batch)
        self._images += report.images
        speed = self._images / max(1e-9, time.perf_counter() - self._epoch_start)
        self._advance(1, f"{losses_line(report.losses)}, lr {report.lr:.2g}, {report.targets} targets, {report.size[1]}x{report.size[0]}, "
                         f"{speed:.1f} images/s, {report.memory_mb / 1000:.1f} GB")
        if report.batch + 1 == report.batches:
            self._open.close()
            self._advance = None

    # -- one epoch ----------------------------------------------------------------------------------------------------

    def _epoch(self, report: EpochReport) -> None:
        self._csv.add(report)
        if self._lines % LINES_PER_HEADER == 0:
            self._say(epoch_header(report))
        self._lines += 1
        self._say(epoch_line(report))
        for remark in report.remarks:
            _logger.info("%s", remark)
        if self._board is not None:
            self._board.epoch(report)
        if self.trainer.sparsity is not None:
            gammas = self._pressed()
            self._gammas.add(report.epoch, gammas.layers)
            if self._board is not None:
                self._board.gammas(report.epoch, gammas.values)
        if report.epoch + 1 < report.epochs:
            self._pictures(last=False)
        elif self._board is not None and self.trainer.sparsity is not None:
            self._board.layer_gammas("after_train_perlayer_bn_weights", self._pressed().layers)
        if report.metrics is not None and (report.is_best or report.epoch + 1 == report.epochs):
            self._detections(report.epoch)

    def _pressed(self) -> Gammas:
        """Of the network that is saved."""
        assert self.trainer.sparsity is not None  # or nobody asks
        return self.trainer.sparsity.gammas(self.trainer.result)

    # -- pictures -----------------------------------------------------------------------------------------------------

    def _pictures(self, *, last: bool) -> None:
        """results.png and, with sparsity, gammas.png and layers.png."""
        rows = read_results(self.folder / "results.csv")
        if not rows or not (last or len(rows) % 5 == 0 or len(rows) < 5):
            return
        with _only_a_picture():
            draw_curves(rows, self.folder / "results.png")
            if self.trainer.sparsity is not None:
                draw_gamma_history(self._gammas.chosen(HISTOGRAMS), self.folder / "gammas.png")
                draw_layer_gammas(self._gammas.layers(BEFORE), self._pressed().layers, self.folder / "layers.png")

    def _first_batch(self) -> None:
        batch = self.trainer.batches.batch(self.trainer.progress.epoch, 0)
        with _only_a_picture():
            self._keep("train_batch", draw_batch(batch.images.numpy(), batch.targets.numpy(), self.inputs.names), 0)

    def _detections(self, epoch: int) -> None:
        """What the network finds in the first validation images."""
        validation = self.trainer.evaluate
        if not isinstance(validation, Validation):
            return
        pictures = []
        for path, found in zip(validation.dataset.paths[:SHOWN_IMAGES], validation.last, strict=False):
            try:
                pictures.append(draw_detections(load_image(path), found[found[:, 4] > SHOWN_CONFIDENCE],
                                                self.inputs.names))
            except BonsaiError as error:
                _logger.debug("%s", error)
        if pictures:
            with _only_a_picture():
                self._keep("valid_detections", draw_gallery(pictures), epoch)

    def _keep(self, name: str, picture: np.ndarray, step: int) -> None:
        write_png(self.folder / f"{name}.png", picture)
        if self._board is not None:
            self._board.image(name, picture, step)

    def _say(self, text: str) -> None:
        if not self.quiet:
            from tqdm import tqdm

            tqdm.write(text)


@contextmanager
def _only_a_picture() -> Iterator[None]:
    """What cannot be drawn is told, and does not stop a training."""
    try:
        yield
    except BonsaiError as error:
        _logger.warning("%s", error)
