"""--images and --data: where calibration images come from, and what is said where there are none."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.cli.calibration import calibration_paths, read_calibration_images
from utils.darknet import parse_network
from utils.errors import DataError, OptionError


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six images, a list of five of them (one twice), and a .data file."""
    rng = np.random.default_rng(0)
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (20, 30, 3), np.uint8))
    (tmp_path / "train.txt").write_text("".join(f"{i}.png\n" for i in (4, 3, 2, 1, 0, 3)))
    (tmp_path / "my.data").write_text("classes=1\ntrain=train.txt\n")
    return tmp_path


def flags(images: object = None, data: object = None, **more: object) -> argparse.Namespace:
    given = {"calibration_images": 64, "seed": 0, "letterbox": "auto", **more}
    return argparse.Namespace(images=None if images is None else str(images), data=data, **given)


def names(paths) -> list[str]:
    return [path.stem for path in paths]


def test_a_folder_a_list_a_pattern_and_a_data_file_name_images(folder):
    assert names(calibration_paths(flags(folder))) == list("012345")
    assert names(calibration_paths(flags(folder / "train.txt"))) == list("43210")
    assert names(calibration_paths(flags(f"{folder}/[45].png"))) == list("45")
    assert names(calibration_paths(flags(folder / "my.data"))) == list("43210")


def test_without_images_the_training_list_of_data_is_taken(folder):
    assert names(calibration_paths(flags(data=folder / "my.data"))) == list("43210")
    assert names(calibration_paths(flags(folder / "5.png", data=folder / "my.data"))) == ["5"]


def test_neither_images_nor_data_is_told():
    with pytest.raises(OptionError, match="--images: is needed to measure on images; give a folder of images, or --data"):
        calibration_paths(flags())


def test_a_data_file_without_a_training_list_does_not_lend_its_validation_images(folder):
    """What is measured on them would be better on them."""
    (folder / "my.data").write_text("classes=1\nvalid=train.txt\n")
    with pytest.raises(DataError, match="my.data: does not say train=; add it, or give --images"):
        calibration_paths(flags(data=folder / "my.data"))


def test_missing_images_are_reported_and_left_out(folder, caplog):
    (folder / "train.txt").write_text("5.png\ngone.png\nlost.png\n")
    with caplog.at_level(logging.WARNING):
        assert names(calibration_paths(flags(folder / "train.txt"))) == ["5"]
    (record,) = caplog.records
    assert "train.txt:2: the image 'gone.png' does not exist" in record.getMessage()
    assert record.getMessage().endswith("left out, and 1 more")


@pytest.mark.parametrize(("name", "text", "said"), [
    ("train.txt", "gone.png\n", "the image 'gone.png' does not exist"),
    ("train.txt", "", "names no image"),
    ("nowhere", None, "does not exist"),
    ("*.tif", None, "matches no image"),
])
def test_no_image_at_all_is_an_error(folder, name, text, said):
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(DataError, match=said):
        calibration_paths(flags(folder / name))


@pytest.mark.parametrize(("option", "choice", "boxed"), [(0, "auto", False), (1, "auto", True), (1, "no", False)])
def test_they_come_at_the_size_and_in_the_way_of_the_network(folder, option, choice, boxed):
    text = f"[net]\nwidth=32\nheight=48\nchannels=3\nletter_box={option}\n[convolutional]\nfilters=6\n[yolo]\nmask=0\n" \
        "classes=1\nnum=1\n"
    found = read_calibration_images(flags(folder, calibration_images=4, letterbox=choice), parse_network(text))
    assert found.images.shape == (4, 3, 48, 32)
    grey_rows = np.ptp(found.images[:, :, 0], axis=(1, 2)) == 0
    assert grey_rows.all() == boxed


def test_the_seed_draws_them(folder):
    network = parse_network("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=6\n[yolo]\nmask=0\n"
                            "classes=1\nnum=1\n")
    draws = {read_calibration_images(flags(folder, calibration_images=2, seed=seed), network).paths for seed in range(8)}
    assert len(draws) > 1
