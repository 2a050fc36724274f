"""Batches of training samples, made by processes ahead of the one that trains."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np

from utils.datasets.batch_order import BatchOrder, BatchRequest, MultiScale
from utils.datasets.training_dataset import TrainingDataset
from utils.errors import DataError, OptionError

if TYPE_CHECKING:  # imported where it is used: the converters live in this room too, and need not wait for it
    from torch import Tensor
    from torch.utils.data import DataLoader, Dataset

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """What a network in training sees at once.

    indices: of the images in the data set. images: (N, C, h, w) uint8 RGB. targets: (n, 6) float32 image index in the
    batch, class, xc, yc, w, h relative to the network's input. size: (h, w) in pixels. number: of the batch in its epoch.
    """

    indices: tuple[int, ...]
    images: Tensor = field(repr=False)
    targets: Tensor = field(repr=False)
    size: tuple[int, int]
    number: int

    def __len__(self) -> int:
        return len(self.indices)


class TrainingBatches:
    """The batches of each epoch, the same ones however many processes make them and wherever an epoch begins.

    Images that cannot be decoded are logged once each; a data set that is `strict` raises them.

    The processes start with the first epoch and stay until `close`. On Linux they are forked: so they share a filled
    image cache and start at once, and they touch neither CUDA nor OpenMP. They compute with one thread each, leave
    Ctrl-C and SIGTERM to the process that trains, and end when it is gone. On other systems they are started afresh;
    with an image cache, which they could not share, the batches are made in between instead.

    Args:
        dataset: makes the samples.
        batch_size: images per batch of this process.
        size: (height, width) of the network's input, in pixels.
        workers: processes; 0 makes the batches in between.
        seed, multi_scale, stride, rank, world: as in `BatchOrder`.
        rect: rectangular batches, see `BatchOrder`.
        image_weights: gives, for an epoch, (N,) chances of the images to be drawn.
        mosaic_until_epoch: the first epoch without mosaics; None always makes them.

    Raises:
        OptionError: numbers that make no sense.
    """

    def __init__(self, dataset: TrainingDataset, batch_size: int, size: tuple[int, int], *, workers: int = 2,
                 seed: int = 0, multi_scale: MultiScale | None = None, rect: bool = False, stride: int = 32,
                 image_weights: Callable[[int], np.ndarray] | None = None, rank: int = 0, world: int = 1,
                 mosaic_until_epoch: int | None = None) -> None:
        if workers < 0:
            raise OptionError("workers", f"{workers} processes cannot be", "give 0 or more")
        self.dataset, self.batch_size, self.size = dataset, batch_size, size
        self.order = BatchOrder(len(dataset), batch_size, size, seed, rank, world, multi_scale,
                                dataset.scan.sizes if rect else None, stride, image_weights, mosaic_until_epoch)
        if workers and dataset.cache is not None and sys.platform != "linux":
            _log.info("images in memory cannot be shared with other processes on this system: batches are made in between")
            workers = 0
        self.workers = workers
        self._loader: DataLoader[_Made] | None = None
        self._requests: list[BatchRequest] = []
        self._told: set[int] = set()

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.order)

    def __enter__(self) -> TrainingBatches:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self.close()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[TrainingBatch]:
        """The batches of an epoch (from 0), from number `start` on. One epoch at a time.

        Raises:
            DataError: (a strict data set) an image cannot be read; or a process died.
        """
        requests = self.order.requests(epoch)[start:]
        for made in self._by_workers(requests) if self.workers else (_make(self.dataset, one) for one in requests):
            for index, error in made.failures.items():
                if index not in self._told:
                    self._told.add(index)
                    _log.warning("grey takes its place in training: %s", error)
            yield made.checked()

    def batch(self, epoch: int, number: int) -> TrainingBatch:
        """One batch, made here and now, to look at; what is made for training is not touched.

        Raises:
            DataError: (a strict data set) an image cannot be read.
        """
        return _make(self.dataset, self.order.requests(epoch)[number]).checked()

    def close(self) -> None:
        """End the processes; a later epoch starts new ones.

        It also happens when the interpreter exits: they ignore the SIGTERM by which `multiprocessing` would end them, and
        then it would wait for them for ever.
        """
        loader, self._loader = self._loader, None
        running = getattr(loader, "_iterator", None)
        if running is not None:
            with suppress(RuntimeError):  # of torch's signal handler, which tells at any moment that a process died
                running._shutdown_workers()  # it goes by itself only once nobody, no traceback either, holds the iterator
            for worker in running._workers:
                worker.kill()  # those that hang, in a network drive say

    def _by_workers(self, requests: list[BatchRequest]) -> Iterator[_Made]:
        self._requests[:] = requests
        is_new = self._loader is None
        if self._loader is None:
            self._loader = _loader(self.dataset, self._requests, self.workers)
        with _started_quietly():
            results = iter(self._loader)
        if is_new:  # behind the start: what is registered last happens first at exit, before torch waits for them
            atexit.register(_close, weakref.ref(self))
        try:
            yield from results
        except (RuntimeError, OSError, EOFError) as error:  # the last two: it died while a batch of its was on the way here
            if "Caught" in str(error) or (isinstance(error, RuntimeError) and "DataLoader worker" not in str(error)):
                raise  # "Caught ...": an exception of ours in there, with its traceback
            self.close()
            raise DataError("reading processes", f"one of them died ({error})",
                            "use --workers 0 or fewer, or give more memory (docker run --shm-size 8g)") from error


@dataclass(frozen=True)
class _Made:
    """A batch; or the error that a strict data set raised. failures: what became grey, by index."""

    batch: TrainingBatch | DataError
    failures: dict[int, DataError]

    def checked(self) -> TrainingBatch:
        """The batch; or the error, raised."""
        if isinstance(self.batch, DataError):
            raise self.batch
        return self.batch


class _Requested:
    """The data set as the loader knows it: ask with a request, get a batch."""

    def __init__(self, dataset: TrainingDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, request: BatchRequest) -> _Made:
        return _make(self.dataset, request)


def _make(dataset: TrainingDataset, request: BatchRequest) -> _Made:
    import torch

    before = set(dataset.failures)
    images = np.empty((len(request.indices), dataset.channels, *request.size), dtype=np.uint8)
    targets = [np.zeros((0, 6), dtype=np.float32)]
    try:
        for i, (index, position) in enumerate(zip(request.indices, request.positions, strict=True)):
            images[i], labels = dataset.sample(index, position, request.epoch, request.size, request.mosaic,
                                               letterbox=request.letterbox)
            targets.append(np.insert(labels, 0, i, axis=1))
    except DataError as error:
        return _Made(error, {})
    failures = {index: error for index, error in dataset.failures.items() if index not in before}
    return _Made(TrainingBatch(request.indices, torch.from_numpy(images), torch.from_numpy(np.concatenate(targets)),
                               request.size, request.number), failures)


def _loader(dataset: TrainingDataset, requests: list[BatchRequest], workers: int) -> DataLoader[_Made]:
    """A loader whose items are whole batches; each pass asks for what `requests` holds then."""
    import torch
    from torch.utils.data import DataLoader

    with _without_known_warnings():
        return DataLoader(cast("Dataset[_Made]", _Requested(dataset)), batch_size=None, sampler=requests, num_workers=workers,
                          collate_fn=_as_it_is, worker_init_fn=partial(_settle, os.getpid()), persistent_workers=True,
                          multiprocessing_context="fork" if sys.platform == "linux" else "spawn",
                          generator=torch.Generator())  # its own: torch's common one would be moved on by each pass


def _close(reference: weakref.ref[TrainingBatches]) -> None:
    batches = reference()
    if batches is not None:
        batches.close()


def _as_it_is(made: Any) -> Any:
    return made


def _settle(parent: int, _: int) -> None:
    """What a process does first. OpenCV: 0 and not 1, which would wait for threads that were not forked along."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal, or `docker stop`, sends them to the whole group
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process soon after its parent, however that ended. (torch's loader looks every 5 s, and only when idle.)"""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))  # SIGTERM is ignored; Windows has no other


@contextmanager
def _started_quietly() -> Iterator[None]:
    """Processes that start in here never hear Ctrl-C or SIGTERM, not even in their first moments; this one does afterwards."""
    masks = hasattr(signal, "pthread_sigmask") and threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM}) if masks else set()
    try:
        with _without_known_warnings():
            yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_known_warnings() -> Iterator[None]:
    """Python warns of a fork while threads run, which is meant (see `TrainingBatches`); torch of more processes than
    processors, which is the caller's choice."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*use of fork\(\) may lead to deadlocks", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=r"This DataLoader will create .* worker processes", category=UserWarning)
        yield
