"""Labelled images, one by one or in batches that threads read ahead."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from utils.datasets.annotations import Annotations
from utils.datasets.geometry import Geometry
from utils.datasets.image_header import image_size
from utils.datasets.images import Method, load_image, prepare
from utils.datasets.labels import label_path, read_labels
from utils.datasets.lists import read_image_list
from utils.datasets.rectangles import rect_shape
from utils.errors import DataError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """An image as it is in its file.

    index: in the data set. path: of the file. image: (H, W, 3) uint8 RGB. labels: (n, 5) float32 class xc yc w h,
    relative to the image; (n, 7) with `ignored` (0 or 1) and the area in square pixels where the source tells these.
    """

    index: int
    path: Path
    image: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, in pixels."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, slots=True)
class Batch:
    """Images at the size of a network.

    indices, paths, labels: as in `Sample`, the labels still relative to the original images.
    images: (N, C, height, width) float32 in [0, 1]. geometries: how each image lies in its array, and its own size.
    """

    indices: tuple[int, ...]
    paths: tuple[Path, ...]
    images: np.ndarray = field(repr=False)
    labels: tuple[np.ndarray, ...] = field(repr=False)
    geometries: tuple[Geometry, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    def net_labels(self) -> tuple[np.ndarray, ...]:
        """The labels relative to the network's input: other numbers than `labels` only with a letterbox."""
        return tuple(geometry.labels_to_net(one) for geometry, one in zip(self.geometries, self.labels, strict=True))


class DetectionDataset:
    """Images and their labels. Labels are read and checked when it is made, images when they are asked for.

    Args:
        images: paths.
        labels: per image (n, 5) or (n, 7) float32, see `Sample`.
        names: of the classes, if they are known.
        sizes: (N, 2) width and height of the images in pixels, if they are known; `rect_batches` needs them and
            otherwise looks them up.

    Attributes:
        originals: per image its index in the data set that this one is a share of; by default 0, 1, 2...

    Raises:
        DataError: not one array of labels per image, or one of another shape.
    """

    def __init__(self, images: Sequence[str | Path], labels: Sequence[np.ndarray], names: Sequence[str] = (), *,
                 sizes: np.ndarray | None = None) -> None:
        if len(images) != len(labels):
            raise DataError("data set", f"has {len(images)} images but labels of {len(labels)}", "give one array each")
        self.paths = tuple(Path(image) for image in images)
        self.names = tuple(names)
        self.labels = tuple(_shaped(path, one) for path, one in zip(self.paths, labels, strict=True))
        self.originals: Sequence[int] = range(len(self.paths))
        self._sizes = sizes

    @classmethod
    def read(cls, source: str | Path, names: Sequence[str] | int | None = None, *,
             problems: list[DataError] | None = None) -> DetectionDataset:
        """The images of a list (or folder, pattern, image: see `read_image_list`) and the label files beside them.

        Args:
            source: the list.
            names: of the classes, or only their number; class ids must fit.
            problems: collects a DataError per missing image and unusable label line, which are then left out; by
                default the first one is raised.

        Raises:
            DataError: as `read_image_list` and `read_labels`.
        """
        classes = names if names is None or isinstance(names, int) else len(names)
        images = read_image_list(source, problems=problems)
        files = [label_path(image) for image in images]
        labels = [read_labels(file, classes, problems=problems) for file in files]
        if not any(map(len, labels)) and not any(file.exists() for file in files):
            warn_without_label_files(source, files)
        return cls(images, labels, () if names is None or isinstance(names, int) else names)

    @classmethod
    def of(cls, annotations: Annotations) -> DetectionDataset:
        """What `read_voc`, `read_coco` or `read_oxford_hand` gave; its labels tell `ignored` and areas."""
        images = annotations.images
        return cls([image.path for image in images], [image.ground_truth for image in images], annotations.names)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        """One sample; raises DataError if its image cannot be read."""
        return Sample(range(len(self))[index], self.paths[index], load_image(self.paths[index]), self.labels[index])

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def batches(self, batch_size: int, size: tuple[int, int], letterbox: bool = False, workers: int = 2, *,
                channels: int = 3, method: Method = "darknet") -> Iterator[Batch]:
        """All samples in order, at the size of a network; the last batch may be smaller.

        Args:
            batch_size: samples per batch, 1 or more.
            size: (height, width) of the network's input, in pixels.
            letterbox, channels, method: as in `prepare`.
            workers: threads that read and resize the next batch while the caller computes; 0 does it in between.

        Raises:
            DataError: an image cannot be read, when its batch is due.
        """
        yield from self._read(_chunks(range(len(self)), batch_size, size), letterbox, workers, channels, method)

    def rect_batches(self, batch_size: int, long_side: int, stride: int = 32, workers: int = 2, *, channels: int = 3,
                     method: Method = "darknet") -> Iterator[Batch]:
        """All samples once, in batches of similar shape, letterboxed into no more than their longest sides need.

        The images are ordered by width / height. Each batch has the smallest shape, in multiples of `stride`, in which
        none of its images is smaller than letterboxed at long_side x long_side: less grey, less to compute. The shape
        changes from batch to batch, and `Batch.indices` are not in order.

        Args:
            batch_size: samples per batch, 1 or more.
            long_side: of every image in its batch, in pixels; a multiple of `stride`.
            stride: of the network's coarsest head.
            workers, channels, method: as in `batches`.

        Raises:
            DataError: an image cannot be read; because of sizes that are looked up, possibly before the first batch.
        """
        sizes = self.sizes(workers)
        order = np.argsort(sizes[:, 0] / sizes[:, 1], kind="stable").tolist()
        groups = [(part, rect_shape(sizes[part], long_side, stride))
                  for part, _ in _chunks(order, batch_size, (long_side, long_side))]
        yield from self._read(groups, True, workers, channels, method)

    def sizes(self, workers: int = 2) -> np.ndarray:
        """(N, 2) width and height of all images in pixels, from their headers where they were not given.

        Raises:
            DataError: an image cannot be read.
        """
        if self._sizes is None:
            with ThreadPoolExecutor(max(1, workers)) as pool:
                self._sizes = np.array(list(pool.map(image_size, self.paths)), dtype=np.int32).reshape(-1, 2)
        return self._sizes

    def share(self, rank: int, world: int) -> DetectionDataset:
        """Every world-th image from number `rank` on: what one of `world` processes evaluates.

        `originals` of the share tells which images of this data set they are; the shares of all ranks hold each image
        once, and their sizes differ by one at most.
        """
        part = range(rank, len(self), world)
        result = DetectionDataset([self.paths[i] for i in part], [self.labels[i] for i in part], self.names,
                                  sizes=None if self._sizes is None else self._sizes[rank::world])
        result.originals = [self.originals[i] for i in part]
        return result

    def _read(self, groups: Sequence[tuple[Sequence[int], tuple[int, int]]], letterbox: bool, workers: int,
              channels: int, method: Method) -> Iterator[Batch]:
        """One batch per group of (indices, (height, width)), read ahead by threads."""
        def prepared(index: int, size: tuple[int, int]) -> tuple[int, np.ndarray, Geometry]:
            return index, *prepare(load_image(self.paths[index]), size, letterbox, channels=channels, method=method)

        if workers < 1:
            for indices, size in groups:
                yield self._batch([prepared(i, size) for i in indices])
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="images") as pool:
            ahead: deque[list[Future[tuple[int, np.ndarray, Geometry]]]] = deque()
            remaining = iter(groups)
            try:
                while True:
                    ahead.extend([pool.submit(prepared, i, size) for i in indices]
                                 for indices, size in islice(remaining, 2 - len(ahead)))
                    if not ahead:
                        return
                    yield self._batch([future.result() for future in ahead.popleft()])
            finally:  # the caller may stop early, or an image may be broken
                pool.shutdown(wait=False, cancel_futures=True)

    def _batch(self, prepared: Sequence[tuple[int, np.ndarray, Geometry]]) -> Batch:
        indices = tuple(index for index, _, _ in prepared)
        return Batch(indices, tuple(self.paths[i] for i in indices), np.stack([array for _, array, _ in prepared]),
                     tuple(self.labels[i] for i in indices), tuple(geometry for _, _, geometry in prepared))


def _chunks(indices: Sequence[int], batch_size: int, size: tuple[int, int]) -> list[tuple[Sequence[int],
                                                                                           tuple[int, int]]]:
    """The indices in groups of batch_size, each with the size (height, width) of its images."""
    return [(indices[i : i + batch_size], size) for i in range(0, len(indices), batch_size)]


def warn_without_label_files(source: str | Path, files: Sequence[str | Path]) -> None:
    """Log that no image of a list has a label file; `files` are the ones that were looked for."""
    _log.warning("%s: no image has a label file, so all count as background; the first one would be %s",
                 source, files[0] if files else "-")


def _shaped(path: Path, labels: np.ndarray) -> np.ndarray:
    labels = np.asarray(labels, dtype=np.float32)
    if labels.size == 0:
        return np.zeros((0, 5), dtype=np.float32)
    if labels.ndim != 2 or labels.shape[1] not in (5, 6, 7):
        raise DataError(path, f"has labels of the shape {labels.shape}", "give rows `class xc yc w h [ignored [area]]`")
    return labels
