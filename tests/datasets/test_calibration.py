"""Calibration images: drawn by a seed, and what cannot be used is said, replaced or refused."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.datasets import calibration_images, load_image, prepare
from utils.errors import DataError


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    """Ten images of noise, the first one not square."""
    rng = np.random.default_rng(0)
    names = [tmp_path / f"{number}.png" for number in range(10)]
    for name in names:
        cv2.imwrite(str(name), rng.integers(0, 256, (20, 30 if name is names[0] else 20, 3), np.uint8))
    return names


def solid(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (8, 12)) -> Path:
    cv2.imwrite(str(path), np.full((*size, 3), colour, np.uint8))
    return path


def test_a_seed_draws_the_same_images_each_time_and_another_seed_others(paths):
    first, again, other = (calibration_images(paths, 4, (16, 16), seed=seed) for seed in (1, 1, 2))
    assert first.paths == again.paths
    np.testing.assert_array_equal(first.images, again.images)
    assert first.paths != other.paths
    assert len(set(first.paths)) == len(first) == 4
    assert list(first.paths) == sorted(first.paths, key=paths.index)


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_what_the_network_would_see(paths, letterbox, channels):
    found = calibration_images(paths, 10, (16, 24), letterbox=letterbox, channels=channels)
    assert found.images.shape == (10, channels, 16, 24)
    for path, image in zip(found.paths, found.images, strict=True):
        np.testing.assert_array_equal(image, prepare(load_image(path), (16, 24), letterbox, channels=channels)[0])


def test_batches_are_the_images_in_order_and_the_last_may_be_smaller(paths):
    found = calibration_images(paths, 7, (16, 16))
    batches = list(found.batches(3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(batches), found.images)


def test_an_unreadable_image_is_reported_and_another_takes_its_place(paths, caplog):
    drawn = calibration_images(paths, 5, (16, 16)).paths
    drawn[2].write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        found = calibration_images(paths, 5, (16, 16))
    assert len(found) == 5
    assert set(drawn) - set(found.paths) == {drawn[2]}
    assert len(caplog.records) == 1
    assert str(drawn[2]) in caplog.text
    assert "left out" in caplog.text


def test_many_unreadable_images_are_counted_not_listed(paths, caplog):
    for path in paths[:8]:
        path.write_bytes(b"no picture")
    with caplog.at_level(logging.WARNING):
        found = calibration_images(paths, 3, (16, 16))
    assert found.paths == tuple(paths[8:])
    said = [record.getMessage() for record in caplog.records]
    assert [text.endswith("left out") for text in said] == [True] * 5 + [False] * 2
    assert said[5] == "3 more calibration images cannot be read"


def test_fewer_than_wanted_are_taken_and_told(paths, caplog):
    with caplog.at_level(logging.WARNING):
        found = calibration_images(paths, 64, (16, 16))
    assert found.paths == tuple(paths)
    assert "64 calibration images were wanted, and there are 10" in caplog.text


def test_no_image_that_can_be_read_is_an_error_that_says_why(paths):
    for path in paths:
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="no image that OpenCV can decode"):
        calibration_images(paths, 4, (16, 16))
    with pytest.raises(DataError, match="calibration: has no image"):
        calibration_images([], 4, (16, 16))


@pytest.mark.parametrize("letterbox", [False, True])
def test_images_of_a_single_colour_each_are_refused(tmp_path, letterbox):
    """Of a colour that is no grey, and in another shape than the network's: neither hides it."""
    empty = [solid(tmp_path / f"{i}.png", (40 * i, 0, 255)) for i in range(3)]
    with pytest.raises(DataError, match=r"each of the 3 images is of a single colour, .*0.png for one"):
        calibration_images(empty, 3, (16, 16), letterbox=letterbox)


def test_one_image_that_shows_something_is_enough(paths, tmp_path):
    empty = [solid(tmp_path / f"empty{i}.png", (0, 0, 0)) for i in range(3)]
    assert len(calibration_images([*empty, paths[0]], 4, (16, 16))) == 4


def test_a_network_that_sees_no_pictures_is_told_at_the_first_image(paths):
    with pytest.raises(DataError, match="network of 4 channels"):
        calibration_images(paths, 4, (16, 16), channels=4)
