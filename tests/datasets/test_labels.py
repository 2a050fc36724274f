"""Label files: where they are, what they say, what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shared import SHARED, needs_shared
from utils.datasets import label_path, read_image_list, read_labels
from utils.datasets.yolo_writer import label_text
from utils.errors import DataError


@pytest.mark.parametrize(("image", "labels"), [
    ("/d/images/a.jpg", "/d/labels/a.txt"),
    ("images/a.jpg", "labels/a.txt"),
    ("/d/images/train/a.jpg", "/d/labels/train/a.txt"),
    ("/images/d/images/a.jpg", "/images/d/labels/a.txt"),
    ("/d/images2/images/images.jpg", "/d/images2/labels/images.txt"),
    ("/d/my.jpg.set/images/x.images.jpg.png", "/d/my.jpg.set/labels/x.images.jpg.txt"),
    ("/VOC2007/JPEGImages/1.jpg", "/VOC2007/labels/1.txt"),
    ("/d/obj/a.jpg", "/d/obj/a.txt"),
    ("a.jpg", "a.txt"),
    ("/d/images", "/d/images.txt"),
    ("/d/images/a b.c.jpeg", "/d/labels/a b.c.txt"),
])
def test_only_the_last_folder_called_images_becomes_labels(image, labels):
    assert label_path(image) == Path(labels)


def test_the_lines_of_a_file_are_its_objects(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf0 0.5 0.5 1 1\r\n\r\n  2\t.25 2.5e-1 0.125 0.0625  \r\n")
    labels = read_labels(tmp_path / "a.txt", 3)
    assert labels.dtype == np.float32
    assert labels.tolist() == [[0, 0.5, 0.5, 1, 1], [2, 0.25, 0.25, 0.125, 0.0625]]


@pytest.mark.parametrize("data", [None, b"", b"\n", b" \r\n\t\n"], ids=["missing", "empty", "line", "blanks"])
def test_no_file_and_no_lines_are_background(tmp_path, data):
    if data is not None:
        (tmp_path / "a.txt").write_bytes(data)
    labels = read_labels(tmp_path / "a.txt", 3)
    assert labels.shape == (0, 5)
    assert labels.dtype == np.float32


WRITE = "write `class xc yc w h`"
MALFORMED = [
    ("0 0.5 0.5 0.1", f"has 4 columns instead of 5; {WRITE}"),
    ("0", f"has 1 column instead of 5; {WRITE}"),
    ("0 0.5 0.5 0.1 0.1 0.9", f"has 6 columns instead of 5; {WRITE}; a confidence does not belong into labels"),
    ("0 0.1 0.1 0.2 0.1 0.2 0.2", f"has 7 columns instead of 5; {WRITE}; this looks like the polygon of a segmentation"),
    ("0,0.5,0.5,0.1,0.1", f"has 1 column instead of 5; {WRITE}"),
    ("0 0.5 x 0.1 0.1", f"'x' is not a number; {WRITE}, numbers with a decimal point"),
    ("0 0,5 0.5 0.1 0.1", f"'0,5' is not a number; {WRITE}, numbers with a decimal point"),
    ("0 nan 0.5 0.1 0.1", f"'nan' is not a number; {WRITE}, numbers with a decimal point"),
    ("0 0.5 inf 0.1 0.1", f"'inf' is not a number; {WRITE}, numbers with a decimal point"),
    ("0 1_0 0.5 0.1 0.1", f"'1_0' is not a number; {WRITE}, numbers with a decimal point"),
    ("1.0 0.5 0.5 0.1 0.1", "the class id '1.0' is not a whole number; write 0 for the first name, 1 for the second"),
    ("cat 0.5 0.5 0.1 0.1", "the class id 'cat' is not a whole number; write 0 for the first name, 1 for the second"),
    ("-1 0.5 0.5 0.1 0.1", "the class id -1 is negative; class ids start at 0"),
    ("3 0.5 0.5 0.1 0.1", "the class id 3 is too large: there are 3 names, so the largest id is 2; "
                          "add the missing names or correct the id"),
    (5000 * "9" + " 0.5 0.5 0.1 0.1", "the class id 9999999999 is too large: there are 3 names, so the largest id is 2; "
                                      "add the missing names or correct the id"),
    ("0 320 0.5 0.1 0.1", "x 320 lies outside [0, 1]; labels are relative to the image: divide pixels by its width or "
                          "height"),
    ("0 0.5 -0.01 0.1 0.1", "y -0.01 lies outside [0, 1]; labels are relative to the image: divide pixels by its "
                            "width or height"),
    ("0 0.5 0.5 1.002 0.1", "width 1.002 lies outside [0, 1]; labels are relative to the image: divide pixels by its "
                            "width or height"),
    ("0 0.5 0.5 0.1 0", "the box has no area (width 0.1, height 0); remove the line"),
    ("0 0.5 0.5 -0.0005 0.1", "the box has no area (width -0.0005, height 0.1); remove the line"),
]


@pytest.mark.parametrize(("line", "message"), MALFORMED, ids=[line[:40] for line, _ in MALFORMED])
def test_an_unusable_line_is_named_with_its_reason(tmp_path, line, message):
    path = tmp_path / "a.txt"
    path.write_text(f"0 0.5 0.5 0.1 0.1\n\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_labels(path, 3)
    assert str(caught.value) == f"{path}:3: {message}"


def test_with_one_name_the_message_counts_right(tmp_path):
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DataError, match="there is 1 name, so the only id is 0"):
        read_labels(tmp_path / "a.txt", 1)


def test_problems_are_collected_and_the_other_lines_kept(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(line for line, _ in MALFORMED) + "\n2 0.5 0.5 0.25 0.25\n")
    problems = []
    assert read_labels(tmp_path / "a.txt", 3, problems=problems).tolist() == [[2, 0.5, 0.5, 0.25, 0.25]]
    assert [problem.where.line for problem in problems] == list(range(1, len(MALFORMED) + 1))


def test_rounding_noise_is_clipped(tmp_path):
    (tmp_path / "a.txt").write_text("0 -0.0009 1.0009 1.0001 0.5\n")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.txt", 1), np.float32([[0, 0, 1, 1, 0.5]]))


def test_any_class_is_taken_where_the_number_of_names_is_not_known(tmp_path):
    (tmp_path / "a.txt").write_text("900 0.5 0.5 0.1 0.1\n")
    assert read_labels(tmp_path / "a.txt")[0, 0] == 900


sizes = st.floats(2**-16, 1, width=32)
places = st.floats(0, 1, width=32)


@given(st.lists(st.tuples(st.integers(0, 999), places, places, sizes, sizes), max_size=6))
def test_what_is_written_is_read_back_within_six_digits(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("labels") / "a.txt"
    labels = np.array(rows, dtype=np.float32).reshape(-1, 5)
    path.write_text(label_text(labels))
    np.testing.assert_allclose(read_labels(path, 1000), labels, atol=6e-7)


@needs_shared
def test_a_real_set_has_as_many_boxes_of_each_class_as_its_summary_says():
    folder = SHARED / "datasets" / "coco128-train2017"
    summary = json.loads((folder / "summary.json").read_text())
    quirks = json.loads((folder / "quirks.json").read_text())
    names = (folder / "names.txt").read_text().split("\n")
    images = read_image_list(folder / "train.txt")
    labels = {path.stem: read_labels(label_path(path), 80) for path in images}
    everything = np.concatenate(list(labels.values()))
    assert len(everything) == summary["boxes"] == 929
    for name, count in summary["class_counts"].items():
        assert (everything[:, 0] == names.index(name)).sum() == count
    assert len(np.unique(everything[:, 0])) == summary["classes_present"]
    assert sorted(stem for stem, one in labels.items() if not len(one)) == quirks["image without objects"]
