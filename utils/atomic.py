"""Output files that are either whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from utils.errors import OutputError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file that appears at `path` only if the block ends without an exception.

    The bytes go to a temporary file in the same folder, reach the disk, and are renamed over `path`. If the block
    raises (a full disk, Ctrl-C), the temporary file is removed and what stood at `path` before is untouched.

    Raises:
        OutputError: the folder is missing or not writable, `path` is a folder, or the disk is full.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(path, "is a folder, not a file", "give a file name")
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise OutputError(path, f"cannot be written ({error.strerror})",
                          "choose a folder that exists and is writable") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise OutputError(path, f"cannot be written ({error.strerror})",
                          "free some space or choose another folder; nothing was changed") from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file atomically; raises OutputError as `atomic_write` does."""
    with atomic_write(path) as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole UTF-8 file atomically, line ends as given; raises OutputError as `atomic_write` does."""
    write_bytes(path, text.encode("utf-8"))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
