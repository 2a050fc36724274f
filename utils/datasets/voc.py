"""Pascal VOC: one XML file per image, corners in pixels that count from 1 and include both ends."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from utils.datasets.annotations import (
    LARGEST_SIDE,
    AnnotatedImage,
    Annotations,
    BoxCollector,
    Dropped,
    file_bytes,
)
from utils.datasets.images import is_image_name, load_image
from utils.datasets.lists import read_lines
from utils.errors import DataError, SourceLine

Pixels = Literal["darknet", "exact"]
Difficult = Literal["skip", "keep"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class VocObject:
    """One <object>. number: counts from 1 in its file. corners: xmin ymin xmax ymax as written, None if unusable."""

    number: int
    name: str
    corners: tuple[float, float, float, float] | None
    difficult: bool


@dataclass(frozen=True, slots=True)
class VocFile:
    """One annotation file. width and height are 0 where the file does not tell them."""

    path: Path
    file_name: str
    width: int
    height: int
    objects: tuple[VocObject, ...]


def parse_voc(path: str | Path) -> VocFile:
    """Read one annotation file.

    Raises:
        DataError: missing, unreadable or no XML.
    """
    path = Path(path)
    try:
        root = ElementTree.fromstring(file_bytes(path, "annotation file"))
    except ElementTree.ParseError as error:
        raise DataError(SourceLine(str(path), error.position[0]), f"is not XML ({error})",
                        "repair the file or take its image off the list") from None
    objects = tuple(
        VocObject(number, (node.findtext("name") or "").strip(), _corners(node),
                  _number(node.findtext("difficult")) == 1)
        for number, node in enumerate(root.findall("object"), start=1)
    )
    width, height = (_side(root.findtext(f"size/{side}")) for side in ("width", "height"))
    return VocFile(path, (root.findtext("filename") or "").strip(), width, height, objects)


def voc_names(root: str | Path, image_sets: Iterable[str]) -> tuple[str, ...]:
    """All names of objects in some image sets, sorted: for VOC itself that is its usual order.

    Raises:
        DataError: as `read_voc`.
    """
    folder = Path(root)
    names: set[str] = set()
    for image_set in image_sets:
        for identity in _identities(folder, image_set):
            try:
                names.update(entry.name for entry in parse_voc(_annotation(folder, identity)).objects if entry.name)
            except DataError:
                continue  # read_voc tells which image is left out for it
    return tuple(sorted(names))


def read_voc(root: str | Path, image_set: str, names: Sequence[str] | None = None, *, difficult: Difficult = "skip",
             pixels: Pixels = "darknet", prefix: str = "",
             advance: Callable[[int], object] | None = None) -> Annotations:
    """Read a part of a VOC folder (Annotations, ImageSets/Main, JPEGImages).

    Two ways to turn corners into edges are in use, half a pixel apart. With W the width of the image:

        darknet   xc = ((xmin + xmax)/2 - 1)/W    w = (xmax - xmin)/W        Darknet's scripts/voc_label.py
        exact     xc = (xmin - 1 + xmax)/2/W      w = (xmax - xmin + 1)/W    VOC's definition: pixels from 1, inclusive

    All published Darknet models for VOC were trained on the first. Boxes that reach beyond their image are cut at its
    border; Darknet's script leaves them as they are.

    Args:
        root: the folder, for example VOCdevkit/VOC2007.
        image_set: the name of a list in ImageSets/Main, such as trainval; or "all" for every file in Annotations.
        names: of the classes, in order; by default all that occur, sorted. Objects of other names are dropped.
        difficult: what happens to objects that are marked so: skipped (as Darknet does), or kept and marked `ignored`.
        pixels: see above.
        prefix: put before the images' relative names, to keep several folders apart.
        advance: called with 1 after each image.

    Raises:
        DataError: a folder or list is missing. What is wrong with single images or boxes is in `Annotations.dropped`.
    """
    folder = Path(root)
    identities = _identities(folder, image_set)
    if names is None:
        names = voc_names(folder, [image_set])
    index = {name: i for i, name in enumerate(names)}
    files = _images_by_name(folder)
    dropped: list[Dropped] = []
    images: list[AnnotatedImage] = []
    clipped = 0
    for identity in identities:
        try:
            annotation = parse_voc(_annotation(folder, identity))
            path = _image(annotation, identity, files)
            collector = BoxCollector(annotation.path, *_size(annotation, path), dropped)
        except DataError as error:
            dropped.append(Dropped(_annotation(folder, identity), "", "image", error.problem))
        else:
            for entry in annotation.objects:
                _add(collector, entry, index, difficult, pixels)
            images.append(collector.image(path, PurePosixPath(prefix) / path.name))
            clipped += collector.clipped
        if advance is not None:
            advance(1)
    return Annotations(tuple(names), tuple(images), tuple(dropped), clipped)


def _add(collector: BoxCollector, entry: VocObject, index: dict[str, int], difficult: Difficult,
         pixels: Pixels) -> None:
    item = f"object {entry.number} ({entry.name or 'no name'})"
    if entry.name not in index:
        collector.drop(item, f"the name {entry.name!r} is not among the classes" if entry.name else "has no name")
    elif entry.difficult and difficult == "skip":
        collector.drop(item, "difficult")
    elif entry.corners is None:
        collector.drop(item, "its <bndbox> has no four numbers xmin ymin xmax ymax")
    else:
        x1, y1, x2, y2 = entry.corners
        end = 0 if pixels == "exact" else 1
        collector.add(item, index[entry.name], (x1 - 1, y1 - 1, x2 - end, y2 - end), ignored=entry.difficult)


def _identities(folder: Path, image_set: str) -> list[str]:
    """The names of the images of a set, without ending, each once."""
    annotations = folder / "Annotations"
    if not annotations.is_dir():
        raise DataError(folder, "has no folder Annotations", "name the folder that holds Annotations and JPEGImages")
    if image_set == "all":
        found = sorted(path.stem for path in annotations.glob("*.xml"))
    else:
        sets = folder / "ImageSets" / "Main"
        path = sets / f"{image_set}.txt"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in sets.glob("*.txt") if "_" not in file.stem))
            raise DataError(path, "does not exist",
                            f"choose one of: {known or 'none'}; or all, for every annotation file")
        found = [re.sub(r"\s+(-1|0|1)$", "", line) for line in read_lines(path, "image set") if line]
    if not found:
        raise DataError(folder, f"has no image in the set {image_set!r}", "choose another set")
    return list(dict.fromkeys(found))


def _annotation(folder: Path, identity: str) -> Path:
    return folder / "Annotations" / f"{identity}.xml"


def _images_by_name(folder: Path) -> dict[str, Path]:
    """Files of JPEGImages by their name without ending, and by their full name."""
    found: dict[str, Path] = {}
    place = folder / "JPEGImages"
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if is_image_name(path):
            found.setdefault(path.stem, path)
            found[path.name] = path
    if not found:
        raise DataError(place, "holds no images", "name the folder that holds Annotations and JPEGImages")
    return found


def _image(annotation: VocFile, identity: str, files: dict[str, Path]) -> Path:
    path = files.get(identity) or files.get(annotation.file_name)
    if path is None:
        raise DataError(annotation.path, f"JPEGImages has no image {identity}", "add it or take it off the list")
    return path


def _size(annotation: VocFile, image: Path) -> tuple[int, int]:
    """Width and height in pixels; read from the image where the annotation does not tell (some say 0)."""
    if annotation.width > 0 and annotation.height > 0:
        return annotation.width, annotation.height
    height, width = load_image(image).shape[:2]
    return width, height


def _corners(node: ElementTree.Element) -> tuple[float, float, float, float] | None:
    left, top, right, bottom = (_number(node.findtext(f"bndbox/{corner}")) for corner in _CORNERS)
    if left is None or top is None or right is None or bottom is None:
        return None
    return left, top, right, bottom


def _side(text: str | None) -> int:
    """Pixels along a side of the image, 0 where the file does not tell them."""
    value = _number(text)
    return int(value) if value is not None and 0 < value < LARGEST_SIDE else 0


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None

