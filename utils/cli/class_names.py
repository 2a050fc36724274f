"""What classes are called: from `--names`, or from the `names=` of a `--data` file."""

from __future__ import annotations

from pathlib import Path

from utils.darknet import read_data, read_names
from utils.errors import DataError
from utils.wording import counted


def class_names(names_file: Path | None, data_file: Path | None, classes: int) -> tuple[str, ...]:
    """One name per class of the network; `class 3` and so on where there is neither file.

    Raises:
        DataError: a file cannot be read, or has another number of names than the network has classes.
    """
    if names_file is None and data_file is not None:
        names_file = read_data(data_file).names
        if names_file is None:
            raise DataError(data_file, "does not say names=", "add for example names=data/coco.names")
    if names_file is None:
        return tuple(f"class {i}" for i in range(classes))
    names = read_names(names_file)
    if len(names) != classes:
        raise DataError(names_file, f"has {counted(len(names), 'name')}, but the heads of the cfg know "
                        f"{counted(classes, 'class')}",
                        "give the names that belong to this cfg")
    return names
