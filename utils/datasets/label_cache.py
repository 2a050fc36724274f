"""All labels and image sizes of a list, checked once and kept in a file beside the list until something changes."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from utils.atomic import write_bytes
from utils.datasets.detection_dataset import DetectionDataset, warn_without_label_files
from utils.datasets.image_header import image_size
from utils.datasets.images import IMAGE_SUFFIXES, is_image_name
from utils.datasets.labels import label_path, read_labels
from utils.datasets.lists import read_image_names
from utils.errors import DataError, OutputError, SourceLine

_log = logging.getLogger(__name__)

SUFFIX = ".bonsai-cache.npz"
"""What is put behind the name of the list."""

_VERSION = 1
_TOLD = 10  # problems that are logged one by one
_ABSENT = (-1, -1)
_DAMAGED = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, RuntimeError, MemoryError,
            SyntaxError, struct.error, zlib.error, zipfile.BadZipFile)
"""What reading a damaged .npz file may raise."""

Problem = tuple[str, int, str, str]
"""File, line (0: the file as a whole), problem, remedy."""


@dataclass(frozen=True, eq=False)
class ImageScan:
    """The images of a list that can be used, with labels and sizes.

    source: the list. classes: how many there are, None where any id was taken. images: paths as the list gives them.
    labels: per image (n, 5) float32 class xc yc w h relative to the image, (0, 5) for background. sizes: (N, 2) int32
    width and height in pixels, as `load_image` gives them. problems: what was left out, in the order of the list.
    cached: whether all of it came from the cache.
    """

    source: str
    classes: int | None
    images: tuple[str, ...] = field(repr=False)
    labels: tuple[np.ndarray, ...] = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    problems: tuple[DataError, ...] = ()
    cached: bool = False

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """The images as paths."""
        return tuple(map(Path, self.images))

    @property
    def boxes(self) -> int:
        """How many objects there are."""
        return sum(map(len, self.labels))

    @property
    def backgrounds(self) -> int:
        """How many images have no object."""
        return sum(not len(one) for one in self.labels)

    def dataset(self, names: Sequence[str] = ()) -> DetectionDataset:
        """The same images for an evaluation."""
        return DetectionDataset(self.paths, self.labels, names, sizes=self.sizes)


def scan_images(source: str | Path, classes: int | None = None, *, cache: Path | Literal["auto"] | None = "auto",
                strict: bool = False, workers: int = 8, advance: Callable[[int], object] | None = None) -> ImageScan:
    """Read the labels and sizes of all images of a list, and look whether the images are whole.

    Images that cannot be read and label lines that mean nothing are left out, and logged once: the first ten in
    words, the others as a number. An image without a label file, or with an empty one, is background.

    What was found is kept in a file. It counts as long as the format, the number of classes, the images of the list
    and the size and time of every image and label file are the same; otherwise, or when it is damaged, it is made
    again. It is renamed into place when whole, so several processes may scan the same list. A change that keeps a
    file's size and its time to the nanosecond goes unseen.

    Args:
        source: a list, folder, pattern or image, see `read_image_list`.
        classes: class ids must be below; None takes any.
        cache: the file. "auto" is the list's name with `.bonsai-cache.npz` behind it, also for a folder, and none for
            a pattern or a single image. None keeps nothing. Where nothing can be written, nothing is kept.
        strict: raise the first problem instead of leaving something out.
        workers: threads that read files.
        advance: called with the number of images that were read since the last call.

    Raises:
        DataError: no list, no image that can be used, or (strict) the first problem.
    """
    seen: dict[str, tuple[int, int]] = {}

    def exists(image: str) -> bool:
        seen[image] = mark = _mark(image)
        return mark is not _ABSENT

    missing: list[DataError] | None = None if strict else []
    images = read_image_names(source, problems=missing, exists=exists)
    files = label_files(images)
    marks = np.array([*(seen.get(image) or _mark(image) for image in images), *map(_mark, files)], dtype=np.int64).reshape(-1, 2)
    place = _cache_of(source) if cache == "auto" else cache
    digest = _digest(images, files, marks, classes)
    found = _read_cache(place, digest, len(images)) if place else None
    cached = found is not None
    if found is None:
        labelled = marks[len(images):, 0] >= 0
        found = _scan([*zip(images, files, labelled.tolist(), strict=True)], classes, workers, advance)
        if place:
            _write_cache(place, digest, found)
    elif advance is not None:
        advance(len(images))
    problems = (*(missing or ()), *(_error(problem) for problem in found.problems))
    if strict and problems:
        raise problems[0]
    _tell(problems)
    kept = np.flatnonzero(found.sizes[:, 0] > 0).tolist()
    if not kept:
        raise DataError(source, f"no image of it can be used (the first problem: {problems[0]})" if problems else
                        "names no image", "correct the list or the images")
    if not (marks[len(images):, 0] >= 0).any():
        warn_without_label_files(source, files)
    labels = found.labels()
    return ImageScan(str(source), classes, tuple(images[i] for i in kept), tuple(labels[i] for i in kept),
                     found.sizes[kept], problems, cached)


def label_files(images: Iterable[str]) -> list[str]:
    """`label_path` of many images, as strings; the folders are looked at once."""
    folders: dict[str, str] = {}
    files = []
    for image in images:
        path = image.replace(os.altsep, os.sep) if os.altsep else image
        name = path.rpartition(os.sep)[2]
        stem, _, ending = name.rpartition(".")
        if not stem or stem.startswith(".") or f".{ending.lower()}" not in IMAGE_SUFFIXES:
            files.append(str(label_path(image)))
            continue
        folder = path[: len(path) - len(name)]
        if folder not in folders:
            folders[folder] = str(label_path(folder + "x.jpg"))[: -len("x.txt")]
        files.append(f"{folders[folder]}{stem}.txt")
    return files


@dataclass(frozen=True)
class _Found:
    """What a scan gave, as it stands in the cache: `rows` (M, 5) labels of all images, `counts` (N,) of them per
    image, `sizes` (N, 2), 0 for an image that cannot be used."""

    rows: np.ndarray
    counts: np.ndarray
    sizes: np.ndarray
    problems: list[Problem]

    def labels(self) -> list[np.ndarray]:
        """(n, 5) per image, all of them parts of `rows`."""
        ends = np.cumsum(self.counts).tolist()
        return [self.rows[first:last] for first, last in zip([0, *ends[:-1]], ends, strict=True)]


def _scan(files: Sequence[tuple[str, str, bool]], classes: int | None, workers: int,
          advance: Callable[[int], object] | None) -> _Found:
    """Read (image, label file, whether that is there) of all images."""
    def read(one: tuple[str, str, bool]) -> tuple[tuple[int, int], np.ndarray, list[Problem]]:
        problems: list[DataError] = []
        size, labels = (0, 0), np.zeros((0, 5), dtype=np.float32)
        try:
            size = image_size(one[0])
            if one[2]:
                labels = read_labels(one[1], classes, problems=problems)
        except DataError as error:
            problems.append(error)
        return size, labels, [_plain(problem) for problem in problems]

    sizes = np.zeros((len(files), 2), dtype=np.int32)
    counts = np.zeros(len(files), dtype=np.int64)
    rows, problems = [], []
    remaining = iter(files)
    done = 0
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="labels") as pool:
        while part := list(islice(remaining, 1000)):  # in parts, so that Ctrl-C need not wait for all
            for i, (size, labels, said) in enumerate(pool.map(read, part), start=done):
                sizes[i], counts[i] = size, len(labels)
                rows.append(labels)
                problems += said
                if advance is not None:
                    advance(1)
            done += len(part)
    return _Found(np.concatenate([np.zeros((0, 5), dtype=np.float32), *rows]), counts, sizes, problems)


def _plain(error: DataError) -> Problem:
    where = error.where
    path, line = (where.path, where.line) if isinstance(where, SourceLine) else (str(where), 0)
    return path, line, error.problem, error.remedy


def _error(problem: Problem) -> DataError:
    path, line, words, remedy = problem
    return DataError(SourceLine(path, line), words, remedy)


def _tell(problems: Sequence[DataError]) -> None:
    for problem in problems[:_TOLD]:
        _log.warning("left out: %s", problem)
    if len(problems) > _TOLD:
        _log.warning("left out: %d more, in the same way", len(problems) - _TOLD)


def _mark(path: str) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns; taken before the file is read, so that a change meanwhile shows."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # not there; ValueError: a name that no file can have
        return _ABSENT
    return status.st_size, status.st_mtime_ns


def _digest(images: Sequence[str], files: Sequence[str], marks: np.ndarray, classes: int | None) -> np.ndarray:
    """(32,) uint8 of everything that the result of a scan depends on."""
    said = hashlib.blake2b(f"{_VERSION} {classes}\0".encode(), digest_size=32)
    said.update(os.fsencode("\0".join((*images, *files))))
    said.update(marks.tobytes())
    return np.frombuffer(said.digest(), dtype=np.uint8)


def _cache_of(source: str | Path) -> Path | None:
    """Beside the list or folder; None for a pattern or an image."""
    path = Path(os.path.abspath(source))
    if path.is_dir() or (path.is_file() and not is_image_name(path)):
        return path.with_name(path.name + SUFFIX)
    return None


def _read_cache(path: Path, digest: np.ndarray, images: int) -> _Found | None:
    """What the cache holds, None unless it is of this very state of the files."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            if not np.array_equal(arrays["digest"], digest):
                _log.info("%s: is of another state of the files and is made again", path)
                return None
            problems = [(str(where), int(line), str(words), str(remedy))
                        for where, line, words, remedy in json.loads(arrays["problems"].tobytes())]
            found = _Found(arrays["rows"], arrays["counts"], arrays["sizes"], problems)
    except FileNotFoundError:
        return None
    except _DAMAGED as error:
        _log.info("%s: cannot be used (%s) and is made again", path, error)
        return None
    if (found.counts.shape, found.sizes.shape) != ((images,), (images, 2)) or \
            found.rows.shape != (found.counts.sum(), 5) or found.rows.dtype != np.float32:
        _log.info("%s: does not fit together and is made again", path)
        return None
    return found


def _write_cache(path: Path, digest: np.ndarray, found: _Found) -> None:
    said = json.dumps(found.problems).encode("ascii")  # escapes the surrogates of names that are no UTF-8
    file = io.BytesIO()
    np.savez(file, digest=digest, rows=found.rows, counts=found.counts, sizes=found.sizes,
             problems=np.frombuffer(said, dtype=np.uint8))
    try:
        write_bytes(path, file.getvalue())
    except OutputError as error:
        _log.debug("the labels are not kept: %s", error)
