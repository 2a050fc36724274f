"""Images in memory."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest

from tests.datasets.coloured import write
from utils.datasets import ImageCache, cache_bytes, free_memory, image_cache, load_image, scan_images
from utils.datasets.image_cache import load_for
from utils.errors import DataError


def jpeg(folder, width: int, height: int):
    """A JPEG with a smooth picture, as the only image of a folder."""
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    folder.mkdir(exist_ok=True)
    (folder / "a.jpg").write_bytes(cv2.imencode(".jpg", cv2.resize(small, (width, height)))[1].tobytes())
    return scan_images(folder, cache=None)


def test_small_images_are_kept_as_they_are_and_cannot_be_written_to(tmp_path):
    scan = scan_images(write(tmp_path, [(60, 40), (33, 50), (64, 64)]), 6)
    ticks = []
    cache = ImageCache.filled(scan, (64, 64), advance=ticks.append)
    assert len(cache) == sum(ticks) == 3
    for i, path in enumerate(scan.paths):
        np.testing.assert_array_equal(cache.get(i), load_image(path))
        with pytest.raises(ValueError, match="read-only"):
            cache.get(i)[0, 0] = 1
    assert cache.bytes == cache_bytes(scan, (64, 64)) == 3 * (60 * 40 + 33 * 50 + 64 * 64)


@pytest.mark.parametrize(("size", "letterbox", "kept"), [
    ((100, 100), False, (225, 150)),
    ((100, 100), True, (150, 100)),
    ((100, 300), False, (450, 300)),
    ((400, 400), False, (600, 400)),
])
def test_large_images_are_reduced_to_one_and_a_half_times_what_is_needed(tmp_path, size, letterbox, kept):
    scan = jpeg(tmp_path, 600, 400)
    cache = ImageCache.filled(scan, size, letterbox=letterbox)
    assert cache.get(0).shape == (kept[1], kept[0], 3)
    assert cache.bytes == cache_bytes(scan, size, letterbox)
    wanted = cv2.resize(load_image(scan.paths[0]), kept, interpolation=cv2.INTER_AREA)
    assert np.abs(cache.get(0).astype(int) - wanted).mean() < 2


@pytest.mark.parametrize(("side", "reduction"), [(400, 1), (134, 1), (133, 2), (67, 2), (66, 4), (33, 8), (10, 8)])
def test_a_jpeg_is_decoded_at_a_part_of_its_size_where_that_is_enough(tmp_path, side, reduction):
    scan = jpeg(tmp_path, 600, 400)
    image = load_for(scan, 0, (side, side))
    assert image.shape == (400 // reduction, 600 // reduction, 3)
    wanted = cv2.resize(load_image(scan.paths[0]), image.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - wanted).mean() < 2


@pytest.mark.parametrize(("width", "height"), [(900, 1), (1, 900), (900, 3), (1, 1)])
@pytest.mark.parametrize("letterbox", [False, True])
def test_an_image_that_is_very_thin_is_an_image(tmp_path, width, height, letterbox):
    scan = jpeg(tmp_path, width, height)
    assert min(load_for(scan, 0, (64, 64), letterbox).shape) >= 1
    assert ImageCache.filled(scan, (64, 64), letterbox=letterbox).get(0) is not None


def test_too_many_images_are_not_kept_and_a_warning_says_why(tmp_path, caplog):
    scan = jpeg(tmp_path, 60, 40)
    assert ImageCache.filled(scan, (64, 64), free=9001) is not None
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert ImageCache.filled(scan, (64, 64), free=8999) is None
    assert caplog.messages == ["the 1 images would take 0.0 GB of memory, more than 80 % of the 0.0 GB that are free: they "
                               "are not kept but decoded each time"]


def test_an_image_that_cannot_be_decoded_is_left_to_who_asks_for_it(tmp_path):
    source = write(tmp_path, [(60, 40), (33, 50)])
    scan = scan_images(source, 6)
    scan.paths[0].write_bytes(b"nonsense")
    cache = ImageCache.filled(scan, (64, 64))
    assert cache.get(0) is None
    assert len(cache) == 1
    with pytest.raises(DataError, match="is no image that OpenCV can decode"):
        load_for(scan, 0, (64, 64))


def test_free_memory_is_that_of_the_machine_or_of_the_container(tmp_path, monkeypatch):
    assert free_memory() > 2**20
    (tmp_path / "meminfo").write_text("MemTotal:  16 kB\nMemAvailable:    1000 kB\n")
    monkeypatch.setattr(image_cache, "_MEMORY_INFO", tmp_path / "meminfo")
    monkeypatch.setattr(image_cache, "_GROUPS", tmp_path)
    assert free_memory() == 1_024_000
    for name, text in {"memory.max": "5000\n", "memory.current": "4000\n", "memory.stat": "anon 9\ninactive_file 500\n"}.items():
        (tmp_path / name).write_text(text)
    assert free_memory() == 1500
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() == 1_024_000
