"""Detections in COCO's results format, as pycocotools, hotcoco and the COCO server read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# The official ids of the 80 classes that coco.names lists: 1 to 90 without those that were never annotated.
_NEVER_ANNOTATED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = tuple(i for i in range(1, 91) if i not in _NEVER_ANNOTATED)
_COCO_LANDMARKS = {0: "person", 2: "car", 15: "cat", 22: "zebra", 49: "orange", 79: "toothbrush"}


def image_ids(images: Sequence[Path]) -> list[int]:
    """COCO's own ids where every file is named by a number (`000000000139.jpg` -> 139), else 1, 2, 3 ..."""
    if all(image.stem.isdecimal() for image in images) and len({int(image.stem) for image in images}) == len(images):
        return [int(image.stem) for image in images]
    return list(range(1, len(images) + 1))


def category_ids(names: Sequence[str]) -> list[int]:
    """COCO's official ids (1 to 90, with gaps) for its own 80 names, else 1, 2, 3 ..."""
    if len(names) == 80 and all(names[i] == name for i, name in _COCO_LANDMARKS.items()):
        return list(COCO_IDS)
    return list(range(1, len(names) + 1))


def coco_results(images: Sequence[Path], detections: Sequence[np.ndarray], names: Sequence[str]) -> list[dict[str, Any]]:
    """One object per detection: image_id, category_id, bbox [x, y, w, h] in pixels, score.

    Args:
        images: one file per image; gives the ids, see `image_ids`.
        detections: per image (n, 6) x1 y1 x2 y2 score class, in pixels of the image.
        names: of all classes; gives the ids, see `category_ids`.
    """
    ids, categories = image_ids(images), category_ids(names)
    return [
        {"image_id": image_id, "category_id": categories[int(index)],
         "bbox": [round(x1, 3), round(y1, 3), round(x2 - x1, 3), round(y2 - y1, 3)], "score": round(score, 6)}
        for image_id, found in zip(ids, detections, strict=True)
        for x1, y1, x2, y2, score, index in found.tolist()
    ]
