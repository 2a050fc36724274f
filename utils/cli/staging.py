"""A folder of results that appear together, when all of them are done, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import OutputError


@contextmanager
def staged_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder; if the block ends without an exception, its files move to `folder`, made if need be.

    Files that are there under the same names are replaced, others stay. If the block raises (a full disk, a broken
    image, Ctrl-C), `folder` is as it was.

    Raises:
        OutputError: `folder` is a file, or cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(folder, "is a file, not a folder", "give another folder")
    beside = folder.absolute()
    while not beside.exists():
        beside = beside.parent
    try:
        stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=beside))
    except OSError as error:
        raise OutputError(folder, f"cannot be written ({error.strerror})",
                          "choose a folder that exists and is writable") from error
    try:
        yield stage
        for file in stage.iterdir():
            if (folder / file.name).is_dir():
                raise OutputError(folder / file.name, "is a folder, not a file", "move it away or choose another folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in sorted(stage.iterdir()):
                os.replace(file, folder / file.name)
        except OSError as error:
            raise OutputError(error.filename2 or error.filename or folder, f"cannot be written ({error.strerror})",
                              "choose another folder") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Ask before the work and not after it whether a file can be written; nothing is.

    Raises:
        OutputError: `path` is a folder, or its folder is missing or not writable.
    """
    if path.is_dir():
        raise OutputError(path, "is a folder, not a file", "give a file name")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputError(path, "cannot be written: there is no such folder, or it is read-only",
                          "choose a folder that exists and is writable")
