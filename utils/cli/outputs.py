"""Files that a user asks for on the command line: they can be written, and they are none of the inputs."""

from __future__ import annotations

from pathlib import Path

from utils.atomic import check_writable
from utils.errors import OptionError


def input_files(*paths: Path | None, data: Path | None = None) -> set[Path]:
    """All files that a command reads, resolved: the given ones, the .data file, and the lists and names that it names.

    Raises:
        DataError: the .data file cannot be read.
    """
    files = [path for path in (*paths, data) if path is not None]
    if data is not None:
        from utils.darknet import read_data

        described = read_data(data)
        named = (described.train, described.valid, described.names, described.options.get("test"))
        files += [Path(place) for place in named if place]
    return {path.resolve() for path in files}


def check_output(flag: str, path: Path, inputs: set[Path]) -> None:
    """Ask before the work whether a file can be written.

    Raises:
        OptionError: it would overwrite an input. OutputError: `path` is a folder, or its folder is missing or not writable.
    """
    check_writable(path)
    if path.resolve() in inputs:
        raise OptionError(flag, f"{path} would overwrite an input", "name another file")
