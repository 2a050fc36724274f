"""`.data` and `.names` files, read as Darknet reads them (option_list.c read_data_cfg, data.c get_labels)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from utils.errors import DataError, SourceLine

_CLASSES = re.compile(r"([0-9]{1,9})\s*(?:[#;].*)?")  # atoi stops at a comment
_BLANKS = str.maketrans("", "", " \t\r\n")


@dataclass(frozen=True)
class DataFile:
    """What a .data file says. Paths are resolved: from the working directory, else from the .data file's own folder.

    classes is None and a path is None where the file does not name it; `options` holds all lines as text.
    """

    path: Path
    classes: int | None
    train: Path | None
    valid: Path | None
    names: Path | None
    backup: Path | None
    options: Mapping[str, str]


def read_data(path: str | Path) -> DataFile:
    """Read a .data file: `key = value` lines, `#` and `;` comments, the first of a repeated key counts.

    Raises:
        DataError: missing or unreadable, a line without `=` or with zero bytes, or `classes=` that is not a positive number.
    """
    path = Path(path)
    options: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, raw in enumerate(_text(path, ".data").split("\n"), start=1):
        text = raw.strip()
        if "\0" in text:
            raise DataError(SourceLine(str(path), number), "holds zero bytes, so this is no .data file, or one in UTF-16",
                            "save it as UTF-8 text")
        if not text or text[0] in "#;":
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise DataError(SourceLine(str(path), number), f"'{text[:40]}' has no '='", "write for example classes=80")
        if options.setdefault(key.translate(_BLANKS), value.strip()) == value.strip():
            lines.setdefault(key.translate(_BLANKS), number)
    classes = None
    if "classes" in options:
        match = _CLASSES.fullmatch(options["classes"])
        if match is None or int(match[1]) < 1:
            raise DataError(SourceLine(str(path), lines["classes"]), f"classes={options['classes'][:40]} is no number of "
                            "classes", "write for example classes=80")
        classes = int(match[1])
    located = {key: _located(path, options.get(key)) for key in ("train", "valid", "names", "backup")}
    return DataFile(path, classes, options=options, **located)


def read_names(path: str | Path) -> tuple[str, ...]:
    """The class names of a .names file, one per line; empty lines at the end are no names.

    Raises:
        DataError: missing, unreadable or without a name.
    """
    path = Path(path)
    names = [line.strip() for line in _text(path, ".names").split("\n")]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise DataError(path, "holds no class names", "write one name per line")
    return tuple(names)


def _text(path: Path, kind: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise DataError(path, "does not exist", f"check the path of the {kind} file") from None
    except IsADirectoryError:
        raise DataError(path, "is a folder", f"give a {kind} file") from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "check its permissions") from error


def _located(data: Path, value: str | None) -> Path | None:
    if not value:
        return None
    direct = Path(value)
    beside = data.parent / value
    if direct.is_absolute() or os.path.exists(direct) or not os.path.exists(beside):
        return direct
    return beside
