"""Detections in COCO's results format: pycocotools reads them, and official ids are COCO's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.shared import SHARED, needs_shared
from utils.reports import category_ids, coco_results, image_ids, write_json

COCO128 = SHARED / "datasets" / "coco128-train2017"


def test_numbers_as_file_names_are_the_ids_and_other_names_are_counted():
    assert image_ids([Path("a/000000000139.jpg"), Path("000000000285.jpg")]) == [139, 285]
    assert image_ids([Path("1.jpg"), Path("b.jpg")]) == [1, 2]
    assert image_ids([Path("a/1.jpg"), Path("b/1.jpg")]) == [1, 2]


def test_own_classes_count_from_one():
    assert category_ids(["RBC", "WBC"]) == [1, 2]


def test_a_box_is_corner_and_size():
    (one,) = coco_results([Path("x.jpg")], [np.array([[10, 20, 30.5, 60, 0.75, 1]])], ["a", "b"])
    assert one == {"image_id": 1, "category_id": 2, "bbox": [10.0, 20.0, 20.5, 40.0], "score": 0.75}


@needs_shared
def test_cocos_own_classes_get_the_official_ids():
    names = (COCO128 / "names.txt").read_text().split("\n")[:80]
    categories = sorted(json.loads((COCO128 / "instances.json").read_text())["categories"], key=lambda one: one["id"])
    assert category_ids([name.strip() for name in names]) == [one["id"] for one in categories]


@needs_shared
def test_pycocotools_scores_the_truth_itself_as_perfect(tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = json.loads((COCO128 / "instances.json").read_text())
    names = [name.strip() for name in (COCO128 / "names.txt").read_text().split("\n")[:80]]
    index = {one: i for i, one in enumerate(category_ids(names))}
    images = [Path(one["file_name"]) for one in truth["images"]]
    rows: dict[int, list[list[float]]] = {one["id"]: [] for one in truth["images"]}
    for one in truth["annotations"]:
        x, y, w, h = one["bbox"]
        rows[one["image_id"]].append([x, y, x + w, y + h, 0.9, index[one["category_id"]]])
    detections = [np.array(rows[one["id"]]).reshape(-1, 6) for one in truth["images"]]
    write_json(tmp_path / "results.json", coco_results(images, detections, names))
    known = COCO(str(COCO128 / "instances.json"))
    judge = COCOeval(known, known.loadRes(str(tmp_path / "results.json")), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert judge.stats[0] > 0.999
