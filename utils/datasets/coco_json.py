"""COCO: one JSON file for all images; boxes are [x, y, width, height] in pixels from the upper left corner."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from utils.datasets.annotations import (
    LARGEST_SIDE,
    AnnotatedImage,
    Annotations,
    BoxCollector,
    Dropped,
    file_bytes,
)
from utils.datasets.images import load_image
from utils.errors import DataError, SourceLine

Crowd = Literal["skip", "keep"]


def read_coco(path: str | Path, images: str | Path, names: Sequence[str] | None = None, *, crowd: Crowd = "skip",
              prefix: str = "", advance: Callable[[int], object] | None = None) -> Annotations:
    """Read a COCO annotation file.

    Classes are numbered in the order of the category ids, which have gaps: COCO's 1..90 become 0..79. Boxes that reach
    beyond their image are cut at its border.

    Args:
        path: of the JSON file, for example instances_val2017.json.
        images: the folder that `file_name` starts from.
        names: of the classes. If all of them are categories of the file, they select and order these; if there are
            as many as categories, they rename these in the order of their ids (Darknet's coco.names says motorbike
            where COCO says motorcycle). By default the categories as they are.
        crowd: what happens to boxes around a crowd (iscrowd=1): skipped, or kept and marked `ignored`.
        prefix: put before the images' relative names, to keep several folders apart.
        advance: called with 1 after each image.

    Raises:
        DataError: no COCO file, or names that fit its categories in neither way. What is wrong with single images or
            boxes is in `Annotations.dropped`.
    """
    path, folder = Path(path), Path(images)
    content = _content(path)
    if not folder.is_dir():
        raise DataError(folder, "is no folder", "name the folder that holds the images")
    classes = _classes(path, content["categories"], names)
    dropped: list[Dropped] = []
    rows = _rows_by_image(path, content, dropped)
    found: list[AnnotatedImage] = []
    clipped = 0
    for entry in content["images"]:
        try:
            image, width, height = _image(path, entry, folder)
        except DataError as error:
            dropped.append(Dropped(path, f"image {entry.get('id', '?')}", "image", error.problem))
        else:
            collector = BoxCollector(path, width, height, dropped)
            for row in rows.get(entry["id"], ()):
                _add(collector, row, f"annotation {row.get('id', '?')} ({entry['file_name']})", classes.ids, crowd)
            found.append(collector.image(image, PurePosixPath(prefix) / entry["file_name"]))
            clipped += collector.clipped
        if advance is not None:
            advance(1)
    return Annotations(classes.names, tuple(found), tuple(dropped), clipped)


class _Classes:
    """names: of the classes. ids: class index by category id; None for a category that was not asked for."""

    def __init__(self, names: Sequence[str], ids: Mapping[Any, tuple[int | None, str]]) -> None:
        self.names, self.ids = tuple(names), ids


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(file_bytes(path, "annotation file"))
    except (ValueError, RecursionError) as error:
        raise DataError(SourceLine(str(path), getattr(error, "lineno", 0)), f"is not JSON ({error})",
                        "download or export it again") from None
    if not isinstance(content, dict):
        raise DataError(path, "is no COCO file: it holds no object", "give an instances_*.json")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list) or not all(isinstance(entry, dict) for entry in content[key]):
            raise DataError(path, f"has no list {key!r}, so it is no COCO file for object detection",
                            "give an instances_*.json, not captions or image infos")
    if not content["images"]:
        raise DataError(path, "lists no images", "give another file")
    return content


def _classes(path: Path, categories: Sequence[Mapping[str, Any]], names: Sequence[str] | None) -> _Classes:
    try:
        known = {entry["id"]: str(entry["name"]) for entry in sorted(categories, key=lambda entry: entry["id"])}
    except (KeyError, TypeError):
        raise DataError(path, "has a category without id or name", "give each category both") from None
    if not known:
        raise DataError(path, "has no categories", "give another file")
    if names is None or (len(names) == len(known) and not set(names) <= set(known.values())):
        names = tuple(known.values()) if names is None else names
        return _Classes(names, {key: (i, name) for i, (key, name) in enumerate(known.items())})
    strangers = [name for name in names if name not in known.values()]
    if strangers:
        raise DataError(path, f"has {len(known)} categories, but there are {len(names)} names, and {strangers[0]!r} is "
                        "none of them", f"use its names ({', '.join(list(known.values())[:5])}, ...) or give one name "
                        "per category")
    index = {name: i for i, name in enumerate(names)}
    return _Classes(names, {key: (index.get(name), name) for key, name in known.items()})


def _rows_by_image(path: Path, content: Mapping[str, Any], dropped: list[Dropped]) -> dict[Any, list[dict[str, Any]]]:
    known = {_key(entry, "id") for entry in content["images"]} - {None}
    rows = defaultdict(list)
    for row in content["annotations"]:
        image = _key(row, "image_id")
        if image in known:
            rows[image].append(row)
        else:
            dropped.append(Dropped(path, f"annotation {row.get('id', '?')}", "box",
                                   f"there is no image with the id {row.get('image_id')}"))
    return rows


def _key(entry: Mapping[str, Any], name: str) -> Any:
    """An id, None where there is none or something that can be no id."""
    value = entry.get(name)
    return value if isinstance(value, int | str | float) else None


def _image(path: Path, entry: Mapping[str, Any], folder: Path) -> tuple[Path, int, int]:
    """Path, width and height of an image."""
    where = f"{path} image {entry.get('id', '?')}"
    name = entry.get("file_name")
    if _key(entry, "id") is None or not isinstance(name, str) or not name:
        raise DataError(where, "has no id or no file_name", "give each image both")
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise DataError(where, f"the file_name {name!r} leaves the folder of images", "use relative names")
    image = folder / name
    if not os.path.isfile(image):  # unlike Path.is_file, for a name that is too long for a file, too
        raise DataError(where, f"{image} does not exist", "add the image")
    width, height = entry.get("width"), entry.get("height")
    if not (isinstance(width, int) and isinstance(height, int)
            and 0 < width < LARGEST_SIDE and 0 < height < LARGEST_SIDE):
        height, width = load_image(image).shape[:2]
    return image, width, height


def _add(collector: BoxCollector, row: Mapping[str, Any], item: str, ids: Mapping[Any, tuple[int | None, str]],
         crowd: Crowd) -> None:
    label, name = ids.get(_key(row, "category_id"), (None, None))
    if name is None:
        collector.drop(item, f"there is no category with the id {row.get('category_id')}")
        return
    if label is None:
        collector.drop(item, f"the name {name!r} is not among the classes")
        return
    is_crowd = bool(row.get("iscrowd", 0))
    if is_crowd and crowd == "skip":
        collector.drop(item, "crowd")
        return
    try:
        x, y, width, height = (float(value) for value in row["bbox"])
        area = float(row["area"]) if "area" in row else None
    except (KeyError, TypeError, ValueError, OverflowError):
        collector.drop(item, "its bbox is not four numbers x y width height")
        return
    if area is not None and not 0 <= area < LARGEST_SIDE**2:
        area = None
    collector.add(item, label, (x, y, x + width, y + height), ignored=is_crowd, area=area)
