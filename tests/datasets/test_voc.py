"""Pascal VOC."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.datasets import read_voc, voc_names
from utils.errors import DataError

BCCD = SHARED / "datasets" / "bccd-voc"


def voc_object(name="cat", box=(11, 21, 30, 40), difficult=0, extra=""):
    corners = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult>{extra}<bndbox>{corners}</bndbox></object>"


@pytest.fixture
def folder(tmp_path):
    """`folder(a=(size, objects), ...)` writes a VOC folder with images of 100x50 pixels."""

    def make(**files):
        for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
        image = cv2.imencode(".png", np.zeros((50, 100, 3), np.uint8))[1].tobytes()
        for name, (size, objects) in files.items():
            (tmp_path / "JPEGImages" / f"{name}.png").write_bytes(image)
            text = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
            (tmp_path / "Annotations" / f"{name}.xml").write_text(
                f"<annotation><filename>{name}.png</filename>{text}{''.join(objects)}</annotation>")
        (tmp_path / "ImageSets" / "Main" / "trainval.txt").write_text("".join(f"{name}\n" for name in files))
        return tmp_path

    return make


@needs_shared
def test_the_blood_cells_have_4886_usable_boxes_and_two_without_area():
    parts = [read_voc(BCCD, part) for part in ("trainval", "test")]
    assert [len(part.images) for part in parts] == [292, 72]
    assert sum(part.boxes for part in parts) == 4886
    assert [(one.file.stem, one.what, one.reason) for part in parts for one in part.dropped] == [
        ("BloodImage_00338", "box", "no area (0 x 0 pixels)"), ("BloodImage_00343", "box", "no area (0 x 0 pixels)")]
    assert parts[0].names == parts[1].names == ("Platelets", "RBC", "WBC")


@needs_shared
def test_every_box_is_what_darknets_script_computes():
    found = read_voc(BCCD, "test")
    for image in found.images:
        text = (BCCD / "Annotations" / f"{image.path.stem}.xml").read_text()
        rows = []
        for body in re.findall(r"<object>(.*?)</object>", text, re.DOTALL):
            name = re.search(r"<name>(\w+)", body)[1]
            x1, y1, x2, y2 = (float(re.search(rf"<{key}>(\d+)", body)[1]) for key in ("xmin", "ymin", "xmax", "ymax"))
            # AlexeyAB/darknet, scripts/voc_label.py, convert()
            rows.append((found.names.index(name), ((x1 + x2) / 2 - 1) / 640, ((y1 + y2) / 2 - 1) / 480, (x2 - x1) / 640,
                         (y2 - y1) / 480))
        wanted = np.array(rows)
        free = (wanted[:, 1] - wanted[:, 3] / 2 >= 0) & (wanted[:, 2] - wanted[:, 4] / 2 >= 0)  # not cut at the border
        np.testing.assert_allclose(image.labels[free], wanted[free], atol=1e-6)


def test_the_two_conventions_differ_by_half_a_pixel_at_each_end(folder):
    place = folder(a=((100, 50), [voc_object(box=(11, 21, 30, 40))]))
    darknet, exact = (read_voc(place, "trainval", pixels=pixels).images[0].labels[0, 1:] for pixels in
                      ("darknet", "exact"))
    np.testing.assert_allclose(darknet, [19.5 / 100, 29.5 / 50, 19 / 100, 19 / 50], atol=1e-6)
    np.testing.assert_allclose(exact, [20 / 100, 30 / 50, 20 / 100, 20 / 50], atol=1e-6)


def test_difficult_objects_are_skipped_or_kept_and_marked(folder):
    place = folder(a=((100, 50), [voc_object(), voc_object(difficult=1)]))
    skipped = read_voc(place, "trainval")
    assert skipped.boxes == 1
    assert [(one.item, one.reason) for one in skipped.dropped] == [("object 2 (cat)", "difficult")]
    kept = read_voc(place, "trainval", difficult="keep")
    assert kept.images[0].ignored.tolist() == [False, True]
    assert kept.images[0].ground_truth[:, 5].tolist() == [0, 1]
    np.testing.assert_allclose(kept.images[0].ground_truth[:, 6], 19 * 19)


def test_each_dropped_row_says_why(folder):
    place = folder(a=((100, 50), [
        voc_object("dog"), voc_object(""), voc_object(box=(30, 10, 20, 20)), voc_object(box=(10, 10, 10, 20)),
        voc_object(box=("x", 1, 2, 3)), voc_object(box=(200, 10, 220, 20)), voc_object(box=("nan", 1, 9, 9)),
        "<object><name>cat</name></object>", voc_object(box=("12.5", "20.25", "30.5", "40"))]))
    found = read_voc(place, "trainval", ["cat"])
    assert found.boxes == 1
    no_box = "its <bndbox> has no four numbers xmin ymin xmax ymax"
    assert [(one.item, one.reason) for one in found.dropped] == [
        ("object 1 (dog)", "the name 'dog' is not among the classes"),
        ("object 2 (no name)", "has no name"),
        ("object 3 (cat)", "no area (-10 x 10 pixels)"),
        ("object 4 (cat)", "no area (0 x 10 pixels)"),
        ("object 5 (cat)", no_box),
        ("object 6 (cat)", "outside the image of 100x50 pixels (199, 9, 219, 19)"),
        ("object 7 (cat)", "a coordinate is not a number"),
        ("object 8 (cat)", no_box)]
    assert {one.where.split(" object")[0] for one in found.dropped} == {str(place / "Annotations" / "a.xml")}


def test_boxes_are_cut_at_the_border_and_counted(folder):
    found = read_voc(folder(a=((100, 50), [voc_object(box=(-9, 11, 131, 61)), voc_object()])), "trainval")
    assert found.clipped == 1
    np.testing.assert_allclose(found.images[0].labels[0, 1:], [0.5, 0.6, 1, 0.8], atol=1e-6)


@pytest.mark.parametrize("size", [None, (0, 0), (100, 0), ("", ""), ("inf", 50), (100, "nan"), (10**9, 50)])
def test_a_missing_size_is_read_from_the_image(folder, size):
    found = read_voc(folder(a=(size, [voc_object()])), "trainval")
    assert (found.images[0].width, found.images[0].height) == (100, 50)


def test_an_image_that_cannot_be_used_is_reported_and_the_others_stay(folder):
    place = folder(a=((100, 50), []), broken=((1, 1), []), alone=((1, 1), []), missing=((1, 1), []), unread=(None, []))
    (place / "Annotations" / "broken.xml").write_text("<annotation>\n<object>")
    (place / "Annotations" / "missing.xml").unlink()
    (place / "JPEGImages" / "alone.png").unlink()
    (place / "JPEGImages" / "unread.png").write_bytes(b"?")
    found = read_voc(place, "trainval")
    assert [image.path.stem for image in found.images] == ["a"]
    assert {one.file.stem: one.reason for one in found.dropped} == {
        "broken": "is not XML (no element found: line 2, column 8)", "missing": "does not exist",
        "alone": "JPEGImages has no image alone", "unread": "is no image that OpenCV can decode (1 bytes)"}
    assert {one.what for one in found.dropped} == {"image"}


def test_a_zero_byte_in_an_image_set_costs_one_image(folder):
    place = folder(a=((100, 50), [voc_object()]))
    (place / "ImageSets" / "Main" / "trainval.txt").write_bytes(b"a\n\0\n")
    found = read_voc(place, "trainval")
    assert [image.path.stem for image in found.images] == ["a"]
    assert [one.reason for one in found.dropped] == ["holds a zero byte, so it is no path"]


def test_names_inside_parts_of_an_object_do_not_count(folder):
    extra = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    place = folder(a=((100, 50), [voc_object("person", extra=extra)]))
    assert voc_names(place, ["trainval"]) == ("person",)
    np.testing.assert_allclose(read_voc(place, "trainval").images[0].labels[0, 3:], [19 / 100, 19 / 50], atol=1e-6)


def test_image_sets_with_a_second_column_repetitions_and_no_image_set_at_all(folder):
    place = folder(a=((100, 50), [voc_object()]), b=((100, 50), []))
    (place / "ImageSets" / "Main" / "cat_train.txt").write_text("a  1\nb -1\na 1\n")
    assert [image.path.stem for image in read_voc(place, "cat_train").images] == ["a", "b"]
    assert [image.path.stem for image in read_voc(place, "all").images] == ["a", "b"]


@pytest.mark.parametrize(("image_set", "message"), [
    ("val", "{0}/ImageSets/Main/val.txt: does not exist; choose one of: trainval; or all, for every annotation file"),
    ("empty", "{0}: has no image in the set 'empty'; choose another set"),
])
def test_an_unknown_image_set_is_refused(folder, image_set, message):
    place = folder(a=((100, 50), []))
    if image_set == "empty":
        (place / "ImageSets" / "Main" / "empty.txt").write_text("\n")
    with pytest.raises(DataError) as caught:
        read_voc(place, image_set)
    assert str(caught.value) == message.format(place)


def test_a_folder_that_is_not_voc_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no folder Annotations; name the folder that holds Annotations"):
        read_voc(tmp_path, "trainval")
