"""From `--data` and `--split` to labelled images."""

from __future__ import annotations

from pathlib import Path

from utils.cli.class_names import class_names
from utils.darknet import DataFile, read_data
from utils.datasets import DetectionDataset
from utils.errors import DataError
from utils.wording import counted


def validation_set(data_file: Path, classes: int, split: str = "valid") -> DetectionDataset:
    """The images of one list of a .data file, their labels, and the names of the classes.

    Args:
        classes: how many the network knows.
        split: which list: `train`, `valid`, or `test`, a key that Darknet does not use.

    Raises:
        DataError: the .data file does not name the list or the names, or is for another number of classes; an image
            is missing; a label line is unusable.
    """
    data = read_data(data_file)
    source = _list_of(data, split)
    if source is None:
        raise DataError(data_file, f"does not say {split}=", f"add for example {split}=data/{split}.txt")
    if data.classes is not None and data.classes != classes:
        raise DataError(data_file, f"says classes={data.classes}, but the heads of the cfg know {counted(classes, 'class')}",
                        "give the .data file and the cfg that belong together")
    if data.names is None:
        raise DataError(data_file, "does not say names=", "add for example names=data/coco.names")
    return DetectionDataset.read(source, class_names(data.names, None, classes))


def _list_of(data: DataFile, split: str) -> Path | None:
    if split in ("train", "valid"):
        return getattr(data, split)
    value = data.options.get(split)
    if not value:
        return None
    beside = data.path.parent / value
    return beside if not Path(value).exists() and beside.exists() else Path(value)
