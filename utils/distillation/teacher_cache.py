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


class TeacherCache:
    """One file per picture, named by its content; so it holds for any order, and for no picture that was changed.

    Args:
        folder: of all caches; each teacher gets a folder of its own in it.
        teacher, weights: whose answers they are.
        asked: what else the answers depend on, as text: layers, channels, precision.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: str | Path, teacher: Network, weights: Weights, asked: str) -> None:
        said = hashlib.blake2b(f"1 {teacher.fingerprint} {asked}\0".encode(), digest_size=16)
        for arrays in weights.layers:
            for name in sorted(arrays):
                said.update(name.encode())
                said.update(arrays[name].tobytes())
        self.folder = Path(folder) / said.hexdigest()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(self.folder, f"cannot be made a folder ({error.strerror})",
                              "name another one: --cache-teacher DIR") from error

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
        """Remember an answer; OutputError if the disk is full."""
        with atomic_write(self._path(picture)) as file:
            torch.save([part.clone() for part in answer], file)

    def _path(self, picture: Tensor) -> Path:
        said = hashlib.blake2b(str(tuple(picture.shape)).encode(), digest_size=16)
        said.update(picture.contiguous().numpy().tobytes())
        return self.folder / f"{said.hexdigest()}.pt"
