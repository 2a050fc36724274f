"""Lists of images: a text file as Darknet reads it, a folder, a pattern, or one image."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from utils.datasets.images import IMAGE_SUFFIXES, is_image_name
from utils.errors import DataError, SourceLine

_FOLDERS_ONLY = "./\\"
"""A line of nothing but these (`.`, `../`) names no file."""

_LONGEST = 4096
"""Characters of a path (Linux's PATH_MAX). Python's `glob` takes minutes to understand a pattern of 100,000."""


def read_image_list(source: str | Path, *, problems: list[DataError] | None = None) -> list[Path]:
    """The images that a word in a .data file or on a command line means.

    A folder gives all images in and below it, a pattern (`shots/*.jpg`, `**` for sub-folders) those that match, both
    sorted. Any other file is a list: one path per line, as Darknet reads it; empty lines do not count, names may hold
    blanks, a repeated image is used repeatedly. A relative path starts at the working directory, as in Darknet; where
    nothing is there, at the folder of the list.

    Args:
        source: the image, folder, pattern or list file.
        problems: collects a DataError per missing image, which is then left out; by default the first one is raised.

    Raises:
        DataError: nothing there, no image, an unreadable list, or (unless collected) a missing image.
    """
    return [Path(name) for name in read_image_names(source, problems=problems)]


def read_image_names(source: str | Path, *, problems: list[DataError] | None = None,
                     exists: Callable[[str], bool] = os.path.exists) -> list[str]:
    """The same as `read_image_list`, as strings: of 100,000 images the Path objects alone take half a second.

    exists: tells whether a file is there; asked for every line of a list, and for nothing else.
    """
    path = Path(source)
    if os.path.isdir(path):
        images = [str(image) for image in _images_below(path)]
        if not images:
            raise DataError(path, "holds no image", f"name a folder with files that end with {_endings()}")
    elif os.path.isfile(path):
        images = [str(path)] if is_image_name(path) else _read_list(path, problems, exists)
    elif len(str(source)) <= _LONGEST and glob.has_magic(str(source)):
        found = (Path(name) for name in glob.glob(str(source), recursive=True) if is_image_name(name))
        images = [str(image) for image in sorted(found)]
        if not images:
            raise DataError(source, "matches no image", "check the pattern, and quote it, or the shell expands it")
    else:
        raise DataError(path, "does not exist", "give an image list, an image, a folder, or a pattern in quotes")
    return images


def read_lines(path: Path, kind: str) -> list[str]:
    """The lines of a text file without line ends and without blanks at their ends.

    UTF-8 with or without byte order mark, UTF-16 with one (Windows PowerShell's `>`); bytes that are neither survive
    in file names as Python's surrogates, so that such files can still be opened.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(path, "does not exist", f"check the path of the {kind}") from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", f"give a readable {kind}") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    else:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="surrogateescape")
    return [line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]


def _read_list(path: Path, problems: list[DataError] | None, exists: Callable[[str], bool]) -> list[str]:
    images = []
    named, folder = 0, path.parent
    for number, line in enumerate(read_lines(path, "image list"), start=1):
        if not line:
            continue
        if "\0" in line:
            raise DataError(SourceLine(str(path), number), "holds zero bytes, so this is no list of images",
                            f"give a text file with one path per line, or an image that ends with {_endings()}")
        named += 1
        found = None
        if line.strip(_FOLDERS_ONLY):
            found = line if exists(line) else next((place for place in _other_places(line, folder) if exists(place)), None)
        if found is not None:
            images.append(found)
            continue
        error = _missing(line, path, number)
        if problems is None:
            raise error
        problems.append(error)
    if not named:
        raise DataError(path, "names no image", "write one path per line")
    return images


def _other_places(line: str, folder: Path) -> Iterator[str]:
    """Where a line of a list may point to when it is no path by itself, the first choice first."""
    if not os.path.isabs(line):
        yield os.path.join(folder, line)
    if os.sep == "/" and "\\" in line:  # a list written on Windows
        yield line.replace("\\", "/")
        yield from _other_places(line.replace("\\", "/"), folder)


def _missing(line: str, path: Path, number: int) -> DataError:
    if not line.strip(_FOLDERS_ONLY):
        return DataError(SourceLine(str(path), number), f"{line!r} is a folder, no image", "write the path of an image")
    places = [str(Path(place)) for place in (line, *_other_places(line, path.parent))]
    if os.path.isabs(line):
        tried, remedy = "", "write the path where the image is"
    else:
        tried = f" (tried {', '.join(dict.fromkeys(places))})"
        remedy = "write paths that start at the working directory or at the folder of the list"
    return DataError(SourceLine(str(path), number), f"the image {line!r} does not exist{tried}", remedy)


def _images_below(folder: Path) -> list[Path]:
    return sorted(Path(root, name) for root, _, names in os.walk(folder) for name in names
                  if is_image_name(name) and not name.startswith("."))


def _endings() -> str:
    return ", ".join(sorted(IMAGE_SUFFIXES))
