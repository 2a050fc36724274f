"""Decoded images in memory, no larger than training needs them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from utils.datasets.images import load_reduced
from utils.datasets.label_cache import ImageScan
from utils.errors import DataError

_log = logging.getLogger(__name__)

ROOM = 1.5
"""How much larger than the network's input an image is kept: room for multi-scale training and for a sharp resize."""

_MEMORY_INFO = Path("/proc/meminfo")
_GROUPS = Path("/sys/fs/cgroup")
_GB = 1e9


class ImageCache:
    """Images by their index in a scan; get them with `get`, and copy before you change one: all share them."""

    def __init__(self, images: list[np.ndarray | None]) -> None:
        self._images = images

    def __len__(self) -> int:
        return sum(image is not None for image in self._images)

    @property
    def bytes(self) -> int:
        """Memory that the pixels take."""
        return sum(image.nbytes for image in self._images if image is not None)

    def get(self, index: int) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB, not writable; None for an image that could not be decoded."""
        return self._images[index]

    @classmethod
    def filled(cls, scan: ImageScan, size: tuple[int, int], *, letterbox: bool = False, share: float = 0.8,
               free: int | None = None, workers: int = 8,
               advance: Callable[[int], object] | None = None) -> ImageCache | None:
        """Decode all images of a scan, with threads.

        An image larger than `ROOM` times the network's input is reduced to that, with means over areas. Fill it
        before reading processes start: those that are forked share it. Images that cannot be decoded are left to
        the one who asks for them.

        Args:
            scan: the images.
            size: (height, width) of the network's input, in pixels; with multi-scale training its middle.
            letterbox: whether images keep their shape.
            share: part of the free memory that the images may take.
            free: bytes of free memory; by default `free_memory()`.
            workers: threads.
            advance: called with 1 after each image.

        Returns:
            The cache; None, with a warning in the log, if it would need too much memory.
        """
        needed = cache_bytes(scan, size, letterbox)
        free = free_memory() if free is None else free
        if free is not None and needed > share * free:
            _log.warning("the %d images would take %.1f GB of memory, more than %.0f %% of the %.1f GB that are free: "
                         "they are not kept but decoded each time", len(scan), needed / _GB, 100 * share, free / _GB)
            return None

        def read(index: int) -> np.ndarray | None:
            try:
                image = load_for(scan, index, size, letterbox)
            except DataError:
                return None  # whoever asks for it hears why
            width, height = _kept_size(image.shape[1], image.shape[0], size, letterbox)
            if (width, height) != (image.shape[1], image.shape[0]):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            image.flags.writeable = False
            return image

        images: list[np.ndarray | None] = []
        remaining = iter(range(len(scan)))
        with ThreadPoolExecutor(max(1, workers), thread_name_prefix="images") as pool:
            while part := list(islice(remaining, 256)):  # in parts, so that Ctrl-C need not wait for all
                for image in pool.map(read, part):
                    images.append(image)
                    if advance is not None:
                        advance(1)
        return cls(images)


def cache_bytes(scan: ImageScan, size: tuple[int, int], letterbox: bool = False) -> int:
    """Memory that the images of a scan take once they are decoded and reduced, in bytes."""
    sizes = scan.sizes.astype(np.float64)
    scale = _scale(sizes, size, letterbox)
    return int((3 * np.rint(sizes * scale[:, None]).prod(axis=1)).sum())


def load_for(scan: ImageScan, index: int, size: tuple[int, int], letterbox: bool = False) -> np.ndarray:
    """An image for a network's input of `size` (height, width): (H, W, 3) uint8 RGB.

    A JPEG that is far larger is decoded at a half, a quarter or an eighth, as long as that leaves `ROOM` times what is
    needed, and at least one pixel (OpenCV makes none of a thin image).

    Raises:
        DataError: as `load_image`.
    """
    kept = float(_scale(scan.sizes[index : index + 1].astype(np.float64), size, letterbox)[0])
    reductions: tuple[Literal[8, 4, 2], ...] = (8, 4, 2)
    most = min(1 / kept, scan.sizes[index].min())
    return load_reduced(scan.images[index], next((one for one in reductions if one <= most), 1))


def free_memory() -> int | None:
    """Bytes that this process may still take: of the machine, or of its container where that is less. None: unknown."""
    found = []
    try:
        lines = dict(line.split(":", 1) for line in _MEMORY_INFO.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf, other systems not these names
            found.append(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(OSError, ValueError, KeyError):  # no control group, or "max": no limit
        used = dict(line.split() for line in (_GROUPS / "memory.stat").read_text().splitlines())
        found.append(int((_GROUPS / "memory.max").read_text()) - int((_GROUPS / "memory.current").read_text())
                     + int(used["inactive_file"]))  # kept copies of files, which give way
    return max(0, min(found)) if found else None


def _scale(sizes: np.ndarray, size: tuple[int, int], letterbox: bool) -> np.ndarray:
    """(n,) by how much images of (n, 2) width and height shrink in the cache, at most 1."""
    wanted = np.array([size[1], size[0]]) * ROOM / sizes
    return np.minimum(1, wanted.min(axis=1) if letterbox else wanted.max(axis=1))


def _kept_size(width: int, height: int, size: tuple[int, int], letterbox: bool) -> tuple[int, int]:
    scale = float(_scale(np.array([[width, height]], dtype=np.float64), size, letterbox)[0])
    return max(1, round(width * scale)), max(1, round(height * scale))
