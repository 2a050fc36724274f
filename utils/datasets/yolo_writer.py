"""Write an annotated data set the way Darknet wants it: images/, labels/, lists, .names and .data."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from utils.atomic import atomic_write, write_text
from utils.datasets.annotations import AnnotatedImage, Annotations
from utils.datasets.labels import label_path
from utils.errors import DataError, OutputError

Images = Literal["link", "copy", "reference"]
Paths = Literal["absolute", "relative"]


@dataclass(frozen=True)
class YoloFiles:
    """What was written. lists: by part (train, valid). placed: how many images were linked, hard-linked, copied, or
    left where they are (referenced)."""

    data: Path
    names: Path
    lists: Mapping[str, Path]
    placed: Mapping[str, int]


def write_yolo(parts: Mapping[str, Annotations], out: str | Path, *, sources: Sequence[str | Path] = (),
               images: Images = "link", paths: Paths = "absolute", overwrite: bool = False,
               advance: Callable[[int], object] | None = None) -> YoloFiles:
    """Write train.txt, valid.txt, NAME.names, NAME.data (NAME is that of the folder) and one label file per image.

    Darknet finds the labels of `.../images/a.jpg` in `.../labels/a.txt` and nowhere else, so the images need a folder
    of that name. How they come there:

        link       a symbolic link in out/images; where the system refuses that (Windows without developer mode), a
                   hard link; where it refuses that too (another disk), a copy
        copy       a copy in out/images
        reference  not at all: the lists name the originals, and the labels are written where Darknet looks for them,
                   a folder labels/ beside the originals. The only way that writes into the source's folders.

    The .data file and the lists are written last, so that they never name what is not there.

    Args:
        parts: "train" and optionally "valid"; their names must be equal. Without "valid", valid= is the train list.
        out: the folder to write into; made if missing.
        sources: the folders that were read; `out` must not lie in one of them.
        images: see above.
        paths: in lists and .data. "absolute" works from every working directory, with Darknet too. "relative" starts
            at the folder of the list, so the data set can be moved; Darknet itself then has to run in that folder.
        overwrite: with images="reference", replace label files that have other contents.
        advance: called with 1 after each image.

    Raises:
        DataError: no images; two images that would share one label file; parts with different names.
        OutputError: `out` lies in a source, something cannot be written, or (reference) other labels are there.
    """
    out = Path(os.path.abspath(out))
    everything = _checked(parts, out, sources, images)
    made = make_folder(out)
    placed: Counter[str] = Counter()
    place = _Referencing(overwrite) if images == "reference" else _Placing(out, copy=images == "copy")
    targets: dict[Path, Path] = {}
    for image in everything.values():
        targets[image.path], how = place(image)
        placed[how] += 1
        if advance is not None:
            advance(1)
    files = {part: [targets[image.path] for image in found.images] for part, found in parts.items()}
    return write_lists(made, made.name, next(iter(parts.values())).names, files, paths, dict(placed))


def write_lists(folder: Path, name: str, names: Sequence[str], images: Mapping[str, Sequence[Path]], paths: Paths,
                placed: Mapping[str, int] | None = None) -> YoloFiles:
    """Write one list per part ("train", "valid"), NAME.names and NAME.data into an absolute folder.

    Raises:
        OutputError: a file cannot be written.
    """
    lists = {}
    for part, files in images.items():
        lists[part] = folder / f"{part}.txt"
        with atomic_write(lists[part]) as file:
            for path in files:
                file.write(os.fsencode(_named(path, folder, paths)) + b"\n")  # names may hold bytes that are no UTF-8
    names_file, data = folder / f"{name}.names", folder / f"{name}.data"
    write_text(names_file, "".join(f"{one}\n" for one in names))
    train = lists.get("train", next(iter(lists.values())))
    valid = lists.get("valid", train)
    write_text(data, f"classes = {len(names)}\ntrain = {_named(train, folder, paths)}\n"
                     f"valid = {_named(valid, folder, paths)}\nnames = {_named(names_file, folder, paths)}\n"
                     "backup = backup\n")
    return YoloFiles(data, names_file, lists, dict(placed or {}))


def make_folder(folder: Path) -> Path:
    """Make a folder and those above it; returns it.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, f"cannot be made ({error.strerror})", "choose another folder") from error
    return folder


def label_text(labels: np.ndarray) -> str:
    """(n, 5) class xc yc w h as the lines of a label file, six digits after the point."""
    return "".join(f"{int(row[0])} " + " ".join(f"{value:.6f}" for value in row[1:5]) + "\n" for row in labels)


def _checked(parts: Mapping[str, Annotations], out: Path, sources: Sequence[str | Path],
             images: Images) -> dict[Path, AnnotatedImage]:
    """All images of all parts, each once, by the name of their label file."""
    for source in sources:
        folder = Path(source).resolve()
        if out.resolve() == folder or folder in out.resolve().parents:
            raise OutputError(out, f"lies in the data set that is read ({folder})", "choose a folder beside it")
    if len({found.names for found in parts.values()}) > 1:
        raise DataError(out, "the parts have different class names", "give both the same names")
    by_label: dict[Path, AnnotatedImage] = {}
    for part, found in parts.items():
        if not found.images:
            first = next((f" ({one.where}: {one.reason})" for one in found.dropped if one.what == "image"), "")
            raise DataError(out, f"no image is left for {part}{first}", "check the folders that were named")
        for image in found.images:
            key = label_path(image.path) if images == "reference" else Path(image.relative.with_suffix(".txt"))
            other = by_label.setdefault(key, image)
            if other.path != image.path:
                raise DataError(image.path, f"would share its label file with {other.path}", "rename one of them")
            if label_text(other.labels) != label_text(image.labels):
                raise DataError(image.path, "is in two parts with different labels", "take it out of one")
    return by_label


class _Placing:
    """Puts images and labels into a folder of their own."""

    def __init__(self, out: Path, *, copy: bool) -> None:
        self.out, self.copy = out, copy

    def __call__(self, image: AnnotatedImage) -> tuple[Path, str]:
        target = self.out / "images" / image.relative
        labels = self.out / "labels" / image.relative.with_suffix(".txt")
        make_folder(target.parent)
        make_folder(labels.parent)
        write_text(labels, label_text(image.labels))
        try:
            return target, self._put(image.path.resolve(), target)
        except OSError as error:
            raise OutputError(target, f"cannot be written ({error.strerror})", "choose another folder") from error

    def _put(self, source: Path, target: Path) -> str:
        if target.is_symlink() or target.exists():
            if not self.copy and target.is_symlink() and Path(os.path.realpath(target)) == source:
                return "linked"
            target.unlink()
        if not self.copy:
            for link, how in ((os.symlink, "linked"), (os.link, "hard-linked")):
                try:
                    link(source, target)
                except OSError:
                    continue
                return how
        with source.open("rb") as content, atomic_write(target) as file:
            shutil.copyfileobj(content, file, 1 << 20)
        return "copied"


class _Referencing:
    """Leaves images where they are and writes labels where Darknet looks for them."""

    def __init__(self, overwrite: bool) -> None:
        self.overwrite = overwrite

    def __call__(self, image: AnnotatedImage) -> tuple[Path, str]:
        path = Path(os.path.abspath(image.path))
        labels, text = label_path(path), label_text(image.labels)
        if labels.exists() and not self.overwrite and labels.read_text(encoding="utf-8", errors="replace") != text:
            raise OutputError(labels, "is there already, with other labels",
                              "choose --images link or copy, or say --overwrite")
        make_folder(labels.parent)
        write_text(labels, text)
        return path, "referenced"


def _named(path: Path, folder: Path, paths: Paths) -> str:
    """How a list in `folder` names a path."""
    if paths == "absolute":
        return str(path)
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive on Windows
        return str(path)
