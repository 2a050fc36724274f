"""A teacher's answers on disk, found again by the picture itself."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from utils.atomic import atomic_write
from utils.darknet import Network, Weights
from utils.errors import OutputError

_logger = logging.getLogger(__name__)


def digest(teacher: Network, weights: Weights, asked: str = "") -> str:
    """A name for a teacher, and for what it is asked (layers, channels, precision); others have others."""
    said = hashlib.blake2b(f"1 {teacher.fingerprint} {asked}\0".encode(), digest_size=16)
    for arrays in weights.layers:
        for name in sorted(arrays):
            said.update(name.encode())
            said.update(arrays[name].tobytes())
    return said.hexdigest()


class TeacherCache:
    """One file per picture, named by its content; so it holds for any order, and for no picture that was changed.

    Args:
        folder: of all caches; each teacher gets a folder of its own in it, made with the first answer.
        teacher: its `digest`.

    Raises:
        OutputError: a file has the folder's name.
    """

    def __init__(self, folder: str | Path, teacher: str) -> None:
        self.folder = Path(folder) / teacher
        if any(place.is_file() for place in (self.folder, *self.folder.parents)):
            raise OutputError(self.folder, "cannot be made a folder: a file has that name", "name another: --cache-teacher DIR")
        self._full = False

    def get(self, picture: Tensor) -> list[Tensor] | None:
        """What was answered to this picture, (C, H, W) uint8; None if nothing was, or the file is damaged."""
        path = self._path(picture)
        if not path.exists():
            return None
        try:
            parts = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a damaged file makes torch raise: the teacher is asked again
            _logger.debug("%s: %s", path, error)
            return None
        return parts if isinstance(parts, list) and all(isinstance(part, Tensor) for part in parts) else None

    def put(self, picture: Tensor, answer: Sequence[Tensor]) -> None:
        """Remember an answer. A full disk is logged once, and nothing is remembered from then on."""
        if self._full:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path(picture)) as file:
                torch.save([part.clone() for part in answer], file)
        except (OSError, OutputError) as error:
            self._full = True
            _logger.warning("the teacher is asked anew from here on, its answers cannot be kept: %s", error)

    def _path(self, picture: Tensor) -> Path:
        said = hashlib.blake2b(str(tuple(picture.shape)).encode(), digest_size=16)
        said.update(picture.contiguous().numpy().tobytes())
        return self.folder / f"{said.hexdigest()}.pt"
