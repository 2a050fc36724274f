"""Results that are either whole or not there: files, several files, a folder; written beside their place, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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


@contextmanager
def made_folder(folder: Path | None) -> Iterator[None]:
    """Make a folder and its parents for the block; if it raises, those that were made here go again. None: nothing.

    Raises:
        OutputError: there is a file of that name, or it cannot be made.
    """
    missing = []
    try:
        for place in (folder, *folder.parents) if folder else ():
            if place.exists():
                break
            missing.append(place)
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder or "", f"cannot be made a folder ({error.strerror})", "choose another one") from error
    try:
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):  # something else was put there meanwhile
                place.rmdir()
        raise


@contextmanager
def staged_files(*finals: Path) -> Iterator[tuple[Path, ...]]:
    """Places for several files that belong together: all appear at `finals` if the block ends well, or none does.

    Each staged path has the name of its final one, in a temporary folder beside it.

    Raises:
        OutputError: a final path is a folder, or its folder is missing or not writable, or the disk is full.
    """
    with ExitStack() as stack:
        staged = []
        for final in finals:
            if final.is_dir():
                raise OutputError(final, "is a folder, not a file", "choose another place with --out")
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".bonsai-", dir=final.parent))
            except OSError as error:
                raise OutputError(final, f"cannot be written ({error.strerror})",
                                  "choose a folder that exists and is writable with --out") from error
            staged.append(Path(folder) / final.name)
        yield tuple(staged)
        for place, final in zip(staged, finals, strict=True):
            os.replace(place, final)


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


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file atomically; raises OutputError as `atomic_write` does."""
    with atomic_write(path) as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Write a whole UTF-8 file atomically, line ends as given; raises OutputError as `atomic_write` does.

    File names that are no UTF-8, which Python holds as surrogates, become the bytes that they are on the disk.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
