"""What a conversion found, as tables and as a record: every image and box that was left out, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from utils.datasets.annotations import Annotations, Dropped
from utils.datasets.yolo_writer import YoloFiles

PART_HEADERS = ("part", "images", "without objects", "boxes", "cut at the border", "images dropped", "boxes dropped")
REASON_HEADERS = ("part", "dropped", "count", "reason", "first of them")


def part_rows(parts: Mapping[str, Annotations]) -> list[tuple[object, ...]]:
    """One row per part, see PART_HEADERS."""
    rows: list[tuple[object, ...]] = []
    for part, found in parts.items():
        dropped = Counter(one.what for one in found.dropped)
        rows.append((part, len(found.images), sum(not len(image.labels) for image in found.images), found.boxes,
                     found.clipped, dropped["image"], dropped["box"]))
    return rows


def reason_rows(parts: Mapping[str, Annotations]) -> list[tuple[object, ...]]:
    """One row per part and reason, see REASON_HEADERS; the most frequent first, numbers in a reason do not count."""
    groups: dict[tuple[str, str, str], list[Dropped]] = {}
    for part, found in parts.items():
        for one in found.dropped:
            kind = re.sub(r"\s*\([^()]*\)|\d+(\.\d+)?", "", one.reason) or one.reason
            groups.setdefault((part, one.what, kind), []).append(one)
    return [(part, what, len(group), group[0].reason, f"{group[0].file.name} {group[0].item}")
            for (part, what, _), group in sorted(groups.items(), key=lambda item: -len(item[1]))]


def conversion_text(parts: Mapping[str, Annotations], files: YoloFiles,
                    table: Callable[[Sequence[Sequence[object]], Sequence[str]], str], most: int = 12) -> str:
    """What a command says when it is done: counts, reasons (at most so many) and where the files are.

    table: lays out rows under headers (`utils.reports.table`).
    """
    reasons = reason_rows(parts)
    blocks = [table(part_rows(parts), PART_HEADERS)]
    if reasons:
        blocks.append(table(reasons[:most], REASON_HEADERS))
    if len(reasons) > most:
        blocks[-1] += f"\nand {len(reasons) - most} more reasons; --report FILE tells all of them"
    if "valid" not in parts:
        blocks.append("no --valid was given: valid= are the training images, on which every network looks good")
    placed = ", ".join(f"{count} images {how}" for how, count in files.placed.items())
    blocks.append(f"{placed}\n{files.data}")
    return "\n\n".join(blocks)


def conversion_record(parts: Mapping[str, Annotations], files: YoloFiles) -> dict[str, Any]:
    """Everything about a conversion, for a JSON file: what was written, counts, and every dropped image and box."""
    return {
        "data": str(files.data), "names": str(files.names),
        "lists": {part: str(path) for part, path in files.lists.items()}, "placed": dict(files.placed),
        "parts": {
            part: {
                "images": len(found.images), "boxes": found.boxes, "clipped": found.clipped,
                "images_without_objects": sum(not len(image.labels) for image in found.images),
                "classes": dict(found.class_counts),
                "dropped": [{"where": one.where, "what": one.what, "reason": one.reason} for one in found.dropped],
            } for part, found in parts.items()
        },
    }


def joined(parts: Sequence[Annotations]) -> Annotations:
    """Several annotated sets with the same names as one."""
    return Annotations(parts[0].names, tuple(image for part in parts for image in part.images),
                       tuple(one for part in parts for one in part.dropped), sum(part.clipped for part in parts))
