"""What TensorBoard shows of a training: scalars, histograms of gammas, pictures.

Weighed: `torch.utils.tensorboard` needs torch, which reports do without; `tensorboardX` is one more package beside the
one that people need anyway to look at the log. So the log is written by the `tensorboard` package itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from utils.deploy.optional import optional_module
from utils.errors import EngineError, OutputError
from utils.reports.training.png_file import png_bytes

if TYPE_CHECKING:
    from utils.training.events import EpochReport

_logger = logging.getLogger(__name__)

Mode = Literal["auto", "on", "off"]
REQUIREMENT = "tensorboard"


def open_tensorboard(folder: str | Path, mode: Mode = "auto") -> TensorBoardLog | None:
    """A log in this folder, or None.

    Args:
        folder: made if it is not there.
        mode: `off`: None. `on`: the package has to be there. `auto`: without it, None and one line of information.

    Raises:
        EngineError: `on`, and the package is not installed.
        OutputError: the folder cannot be written to.
    """
    if mode == "off":
        return None
    try:
        return TensorBoardLog(folder)
    except EngineError as error:
        if mode == "on":
            raise
        _logger.info("no log for TensorBoard: %s", error)
        return None


class TensorBoardLog:
    """An event file that `tensorboard --logdir` reads.

    Tags: `train/<part of the loss>`, `metrics/<precision, recall, f1, map50, map>`, `sparsity/s`,
    `sparsity/<number of the gauge>`, `lr`, `speed/...`; histograms `bn_weights/hist` and, with the layer as step,
    `before_train_perlayer_bn_weights/hist` and `after_train_perlayer_bn_weights/hist`, all of |gamma| in Doane's bins,
    under the names that the ancestor gave them. Steps are epochs from 0.

    Raises:
        EngineError: the package is not installed, or cannot write to a folder of such a name.
        OutputError: the folder cannot be written to; later also: the disk is full.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        writers = optional_module("tensorboard.summary.writer.event_file_writer", REQUIREMENT)
        self._events = optional_module("tensorboard.compat.proto.event_pb2", REQUIREMENT)
        self._summaries = optional_module("tensorboard.compat.proto.summary_pb2", REQUIREMENT)
        try:
            self._writer = writers.EventFileWriter(str(self.folder))
        except OSError as error:
            raise self._unwritable(error) from error
        except UnicodeError as error:
            raise EngineError("tensorboard", "writes to no folder whose name is no UTF-8", "choose another folder") from error

    def epoch(self, report: EpochReport) -> None:
        """The scalars of an epoch; what was not measured is left out."""
        scalars: dict[str, float | None] = {f"train/{name}": value for name, value in report.losses.items()}
        scalars["lr"] = report.lr
        scalars["sparsity/s"] = report.s
        scalars |= {f"metrics/{name}": value for name, value in (report.metrics or {}).items()}
        scalars |= {f"sparsity/{name}": value for name, value in (report.sparsity or {}).items()}
        scalars |= {f"speed/{name}": getattr(report, name) for name in ("images_per_second", "memory_mb", "seconds")}
        values = [self._summaries.Summary.Value(tag=tag, simple_value=float(value))
                  for tag, value in scalars.items() if value is not None]
        self._write(report.epoch, values)

    def gammas(self, epoch: int, values: np.ndarray) -> None:
        """The histogram `bn_weights/hist` of all pressed gammas."""
        self._write(epoch, self._histogram("bn_weights/hist", values))

    def layer_gammas(self, tag: str, layers: Mapping[int, np.ndarray]) -> None:
        """One histogram `<tag>/hist` per layer; the step is the layer's index."""
        for layer, values in layers.items():
            self._write(layer, self._histogram(f"{tag}/hist", values))

    def image(self, tag: str, picture: np.ndarray, step: int = 0) -> None:
        """A picture, (H, W, 3) uint8 RGB; ValueError for another shape or type."""
        height, width = picture.shape[:2]
        image = self._summaries.Summary.Image(height=height, width=width, colorspace=3,
                                              encoded_image_string=png_bytes(picture))
        self._write(step, [self._summaries.Summary.Value(tag=tag, image=image)])

    def close(self) -> None:
        """Write what is left; the log is done."""
        try:
            self._writer.close()
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _histogram(self, tag: str, values: np.ndarray) -> list[Any]:
        """|values| in Doane's bins; nothing where there are none."""
        finite = np.abs(np.asarray(values, np.float64)).ravel()
        finite = finite[np.isfinite(finite)]
        if not finite.size:
            return []
        counts, edges = np.histogram(finite, bins="doane")
        histogram = self._summaries.HistogramProto(
            min=float(finite.min()), max=float(finite.max()), num=float(finite.size), sum=float(finite.sum()),
            sum_squares=float(finite @ finite),
            bucket_limit=edges.tolist(), bucket=[0.0, *counts.astype(float)])  # first: what lies below the lowest edge
        return [self._summaries.Summary.Value(tag=tag, histo=histogram)]

    def _write(self, step: int, values: list[Any]) -> None:
        """One event, on its way to the disk when this returns."""
        if not values:
            return
        summary = self._summaries.Summary(value=values)
        try:
            self._writer.add_event(self._events.Event(wall_time=time.time(), step=step, summary=summary))
            self._writer.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(self.folder, f"TensorBoard's log cannot be written ({error.strerror or error})",
                           "choose another folder, or --tensorboard off")
