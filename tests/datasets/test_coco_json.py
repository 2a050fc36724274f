"""COCO annotations."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.datasets import label_path, read_coco, read_labels
from utils.errors import DataError

COCO = SHARED / "datasets" / "coco128-train2017"


@needs_shared
def test_the_json_and_the_label_files_of_a_real_set_agree():
    found = read_coco(COCO / "instances.json", COCO / "images")
    assert found.names == tuple((COCO / "names.txt").read_text().split("\n")[:80])
    assert len(found.images) == 128
    assert found.boxes == 929
    assert not found.dropped
    for image in found.images:
        wanted = read_labels(label_path(image.path), 80)
        np.testing.assert_array_equal(image.labels[:, 0], wanted[:, 0])
        np.testing.assert_allclose(image.labels, wanted, atol=5e-6)  # 3 and 6 digits after the point


@needs_shared
def test_crowds_are_skipped_or_kept_and_marked_as_pycocotools_counts_them():
    skipped = read_coco(COCO / "instances_with_crowd.json", COCO / "images")
    assert skipped.boxes == 929
    assert [one.reason for one in skipped.dropped] == ["crowd"] * 6
    kept = read_coco(COCO / "instances_with_crowd.json", COCO / "images", crowd="keep")
    assert kept.boxes == 935
    assert sum(int(image.ignored.sum()) for image in kept.images) == 6
    areas = {row["area"] for row in json.loads((COCO / "instances_with_crowd.json").read_text())["annotations"]}
    got = np.concatenate([image.area for image in kept.images])
    np.testing.assert_allclose(np.sort(got)[[0, -1]], [min(areas), max(areas)], rtol=1e-6)


@pytest.fixture
def made(tmp_path):
    """Writes a JSON of one image of 100x50 pixels and categories 3 cat, 7 dog; keywords replace its parts."""

    def make(annotations=(), **parts):
        (tmp_path / "photos" / "sub").mkdir(parents=True, exist_ok=True)
        image = cv2.imencode(".png", np.zeros((50, 100, 3), np.uint8))[1].tobytes()
        for name in ("a.png", "sub/b.png"):
            (tmp_path / "photos" / name).write_bytes(image)
        content = {"images": [{"id": 5, "file_name": "a.png", "width": 100, "height": 50}],
                   "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
                   "annotations": [{"id": i, **row} for i, row in enumerate(annotations, start=1)], **parts}
        (tmp_path / "x.json").write_text(json.dumps(content))
        return tmp_path / "x.json", tmp_path / "photos"

    return make


def box(bbox, category=3, image=5, **more):
    return {"image_id": image, "category_id": category, "bbox": bbox, **more}


def test_category_ids_are_numbered_in_their_order_and_pixels_become_shares(made):
    found = read_coco(*made([box([10, 20, 30, 10], 7), box([0, 0, 100, 50])]))
    assert found.names == ("cat", "dog")
    np.testing.assert_allclose(found.images[0].labels, [[1, 0.25, 0.5, 0.3, 0.2], [0, 0.5, 0.5, 1, 1]], atol=1e-7)


def test_each_dropped_row_says_why(made):
    rows = [box([0, 0, 0, 5]), box([0, 0, 5, -1]), box([1, 2, 3]), box(None), box([1, 2, "x", 4]), box([200, 0, 5, 5]),
            box([0, 0, 5, 5], 4), box([0, 0, 5, 5], image=99), box([0, 0, 5, 5], iscrowd=1), box([0, 0, float("nan"), 5]),
            {"image_id": 5, "category_id": 3}, box([-5, -5, 10, 10])]
    path, photos = made(rows)
    found = read_coco(path, photos)
    assert found.boxes == 1
    assert found.clipped == 1
    np.testing.assert_allclose(found.images[0].labels, [[0, 0.025, 0.05, 0.05, 0.1]], atol=1e-7)
    no_bbox = "its bbox is not four numbers x y width height"
    assert sorted((one.item, one.reason) for one in found.dropped) == sorted([
        ("annotation 1 (a.png)", "no area (0 x 5 pixels)"), ("annotation 2 (a.png)", "no area (5 x -1 pixels)"),
        ("annotation 3 (a.png)", no_bbox), ("annotation 4 (a.png)", no_bbox), ("annotation 5 (a.png)", no_bbox),
        ("annotation 6 (a.png)", "outside the image of 100x50 pixels (200, 0, 205, 5)"),
        ("annotation 7 (a.png)", "there is no category with the id 4"),
        ("annotation 8", "there is no image with the id 99"), ("annotation 9 (a.png)", "crowd"),
        ("annotation 10 (a.png)", "a coordinate is not a number"), ("annotation 11 (a.png)", no_bbox)])


def test_ids_and_numbers_that_no_file_should_hold_cost_their_rows_only(made):
    huge = 10**400
    rows = [box([0, 0, 5, 5]), box([0, 0, huge, 5]), box([0, 0, 5, 5], [3]), box([0, 0, 5, 5], {}),
            box([0, 0, 5, 5], image=[5]), {"category_id": 3, "bbox": [0, 0, 5, 5]}, box([0, 0, 5, 5], area=huge),
            box([0, 0, 5, 4], area=float("inf"))]
    images = [{"id": 5, "file_name": "a.png", "width": huge, "height": 50}, {"id": [6], "file_name": "a.png"},
              {"file_name": "sub/b.png"}]
    found = read_coco(*made(rows, images=images))
    assert [(image.width, image.height) for image in found.images] == [(100, 50)], "read from the image"
    assert found.images[0].area.tolist() == [25, 20]
    assert [one.item for one in found.dropped] == [
        "annotation 5", "annotation 6", "annotation 2 (a.png)", "annotation 3 (a.png)", "annotation 4 (a.png)",
        "annotation 7 (a.png)", "image [6]", "image ?"]


def test_images_that_cannot_be_used_are_reported(made):
    path, photos = made(images=[
        {"id": 1, "file_name": "a.png", "width": 100, "height": 50}, {"id": 2, "file_name": "no.png"},
        {"id": 3}, {"id": 4, "file_name": "../a.png"}, {"id": 6, "file_name": "sub/b.png"}])
    found = read_coco(path, photos)
    assert [str(image.relative) for image in found.images] == ["a.png", "sub/b.png"]
    assert (found.images[1].width, found.images[1].height) == (100, 50), "read from the image"
    assert [(one.item, one.reason) for one in found.dropped] == [
        ("image 2", f"{photos}/no.png does not exist"), ("image 3", "has no id or no file_name"),
        ("image 4", "the file_name '../a.png' leaves the folder of images")]


def test_names_select_and_order_or_rename(made):
    path, photos = made([box([0, 0, 5, 5], 7), box([0, 0, 5, 5], 3)])
    only = read_coco(path, photos, ["dog"])
    assert only.images[0].labels[:, 0].tolist() == [0]
    assert [one.reason for one in only.dropped] == ["the name 'cat' is not among the classes"]
    assert read_coco(path, photos, ["dog", "cat"]).images[0].labels[:, 0].tolist() == [0, 1]
    renamed = read_coco(path, photos, ["Katze", "Hund"])
    assert renamed.names == ("Katze", "Hund")
    assert renamed.images[0].labels[:, 0].tolist() == [1, 0]
    with pytest.raises(DataError, match="has 2 categories, but there are 3 names, and 'Maus' is none of them; "
                                        r"use its names \(cat, dog, ...\) or give one name per category"):
        read_coco(path, photos, ["cat", "dog", "Maus"])


@pytest.mark.parametrize(("text", "message"), [
    ("{", ":1: is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)); "
          "download or export it again"),
    ("[" + 5000 * "9" + "]", ": is not JSON (Exceeds the limit (4300 digits) for integer string conversion: value has 5000 "
     "digits; use sys.set_int_max_str_digits() to increase the limit); download or export it again"),
    ("[]", ": is no COCO file: it holds no object; give an instances_*.json"),
    ('{"images": [], "annotations": []}', ": has no list 'categories', so it is no COCO file for object detection; "
                                           "give an instances_*.json, not captions or image infos"),
    ('{"images": [1], "annotations": [], "categories": []}', ": has no list 'images', so it is no COCO file for object "
     "detection; give an instances_*.json, not captions or image infos"),
    ('{"images": [], "annotations": [], "categories": []}', ": lists no images; give another file"),
    ('{"images": [{"id": 1}], "annotations": [], "categories": []}', ": has no categories; give another file"),
    ('{"images": [{"id": 1}], "annotations": [], "categories": [{"id": 1}]}',
     ": has a category without id or name; give each category both"),
], ids=range(8))
def test_what_is_no_coco_file_is_refused(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_coco(path, tmp_path)
    assert str(caught.value) == f"{path}{message}"


def test_missing_places_are_named(made, tmp_path):
    path, _ = made()
    with pytest.raises(DataError, match="no.json: does not exist; check the path of the annotation file"):
        read_coco(tmp_path / "no.json", tmp_path)
    with pytest.raises(DataError, match="nowhere: is no folder; name the folder that holds the images"):
        read_coco(path, tmp_path / "nowhere")
