"""The Oxford hand data set, in files that scipy writes."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from utils.datasets import read_oxford_hand
from utils.datasets.oxford_hand import read_hands
from utils.errors import DataError, EngineError

scipy_io = pytest.importorskip("scipy.io")


def save(path, hands):
    """`boxes`: 1 x N cell array of structs a b c d, rows (y, x), as in the data set."""
    boxes = np.empty((1, len(hands)), dtype=object)
    for i, corners in enumerate(hands):
        boxes[0, i] = {name: np.array([corner], dtype=np.float64) for name, corner in zip("abcd", corners, strict=True)}
    scipy_io.savemat(str(path), {"boxes": boxes})


@pytest.fixture
def root(tmp_path):
    """Two training images of 100x50 pixels."""
    data = tmp_path / "training_dataset" / "training_data"
    for name in ("images", "annotations"):
        (data / name).mkdir(parents=True)
    for name in ("one", "two"):
        (data / "images" / f"{name}.jpg").write_bytes(
            cv2.imencode(".jpg", np.zeros((50, 100, 3), np.uint8))[1].tobytes())
    save(data / "annotations" / "one.mat", [[(10, 20), (12, 40), (30, 38), (28, 18)]])
    save(data / "annotations" / "two.mat", [[(-5, -5), (5, 10), (5, 10), (0, 0)], [(9, 9)] * 4,
                                            [(40, 90), (40, 200), (200, 200), (200, 90)]])
    return tmp_path


def test_a_hand_is_the_upright_box_around_its_corners_given_as_y_x(root):
    found = read_oxford_hand(root, "training")
    assert found.names == ("hand",)
    np.testing.assert_allclose(found.images[0].labels, [[0, 29 / 100, 20 / 50, 22 / 100, 20 / 50]], atol=1e-6)
    assert str(found.images[0].relative) == "training/one.jpg"


def test_boxes_are_cut_at_the_last_pixel_and_empty_ones_reported(root):
    found = read_oxford_hand(root, "training")
    np.testing.assert_allclose(found.images[1].labels, [[0, 0.05, 0.05, 0.1, 0.1], [0, 94.5 / 100, 44.5 / 50, 9 / 100,
                                                                                    9 / 50]], atol=1e-6)
    assert found.clipped == 2
    assert [(one.file.name, one.item, one.reason) for one in found.dropped] == [
        ("two.mat", "hand 2", "no area (0 x 0 pixels)")]


def test_a_single_hand_and_many_are_read_alike(tmp_path):
    for count in (1, 2, 7):
        save(tmp_path / "x.mat", [[(i, 1), (i, 2), (i + 1, 2), (i + 1, 1)] for i in range(count)])
        hands = read_hands(tmp_path / "x.mat")
        assert [hand.tolist()[0] for hand in hands] == [[i, 1] for i in range(count)]


def test_an_image_whose_annotation_is_unusable_is_reported(root):
    data = root / "training_dataset" / "training_data"
    (data / "annotations" / "one.mat").unlink()
    (data / "annotations" / "two.mat").write_bytes(b"no matlab" * 30)
    found = read_oxford_hand(root, "training")
    assert not found.images
    assert found.dropped[0].reason == "does not exist"
    assert found.dropped[1].reason.startswith("is no MATLAB file that scipy can read (")


def test_a_mat_file_of_something_else_is_refused(tmp_path):
    scipy_io.savemat(str(tmp_path / "x.mat"), {"other": np.zeros(3)})
    with pytest.raises(DataError, match="holds no cell array `boxes` of structs with corners a b c d"):
        read_hands(tmp_path / "x.mat")


def test_a_folder_without_the_part_is_refused(root):
    with pytest.raises(DataError, match=r"test_data/images: holds no images; name the folder hand_dataset that has "
                                        "training_dataset in it"):
        read_oxford_hand(root, "test")


def test_without_scipy_the_install_line_is_named(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(EngineError, match=r"reading MATLAB files needs scipy .*; pip install scipy"):
        read_oxford_hand(root, "training")
