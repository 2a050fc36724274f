"""Darknet's resize and letterbox, against recordings of Darknet itself, torch's align_corners, and plain loops."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shared import SHARED, needs_shared
from utils.datasets import letterbox_darknet, letterbox_size, prepare, resize_darknet
from utils.errors import DataError


def recordings():
    place = SHARED / "darknet" / "preprocess.json"
    return json.loads(place.read_text()) if place.is_file() else []


@pytest.fixture(scope="module")
def make_input():
    spec = importlib.util.spec_from_file_location("recorded_gen", SHARED / "darknet" / "gen.py")
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module.make_input


@needs_shared
@pytest.mark.parametrize("recording", recordings(), ids=lambda r: f"{r['mode']}-{r['in_chw']}-{r['out_chw']}")
def test_every_recorded_image_comes_out_bit_by_bit_as_from_darknet(recording, make_input):
    wanted = np.load(SHARED / "darknet" / "preprocess.npz")[recording["key"]]
    _, height, width = recording["out_chw"]
    function = resize_darknet if recording["mode"] == "resize" else letterbox_darknet
    got = function(make_input(recording["input_seed"], *recording["in_chw"]), width, height)
    assert got.dtype == np.float32
    assert got.shape == tuple(recording["out_chw"])
    np.testing.assert_array_equal(got.ravel(), wanted.ravel())


def by_hand(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Darknet's loops as they are written in image.c, one pixel at a time."""
    one = np.float32(1)
    channels, image_height, image_width = image.shape
    part = np.zeros((channels, image_height, width), np.float32)
    result = np.zeros((channels, height, width), np.float32)
    w_scale = np.float32(image_width - 1) / np.float32(width - 1)
    h_scale = np.float32(image_height - 1) / np.float32(height - 1)
    for c in range(width):
        if c == width - 1 or image_width == 1:
            part[:, :, c] = image[:, :, image_width - 1]
        else:
            sx = np.float32(c) * w_scale
            dx = sx - np.float32(int(sx))
            part[:, :, c] = (one - dx) * image[:, :, int(sx)] + dx * image[:, :, int(sx) + 1]
    for r in range(height):
        sy = np.float32(r) * h_scale
        dy = sy - np.float32(int(sy))
        result[:, r] = (one - dy) * part[:, int(sy)]
        if r == height - 1 or image_height == 1:
            continue
        result[:, r] += dy * part[:, int(sy) + 1]
    return result


sides = st.integers(1, 40)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), sides, sides, st.integers(2, 40), st.integers(2, 40))
def test_the_array_form_equals_the_loops(seed, image_width, image_height, width, height):
    image = np.random.default_rng(seed).random((2, image_height, image_width), dtype=np.float32)
    if (image_width, image_height) == (width, height):
        np.testing.assert_array_equal(resize_darknet(image, width, height), image)
    else:
        np.testing.assert_array_equal(resize_darknet(image, width, height), by_hand(image, width, height))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 60), st.integers(2, 60), st.integers(2, 60))
def test_all_rows_but_the_last_are_torchs_align_corners(seed, image_width, image_height, width, height):
    image = np.random.default_rng(seed).random((3, image_height, image_width), dtype=np.float32)
    wanted = torch.nn.functional.interpolate(torch.from_numpy(image)[None], (height, width), mode="bilinear",
                                             align_corners=True)[0].numpy()
    np.testing.assert_allclose(resize_darknet(image, width, height)[:, :-1], wanted[:, :-1], atol=2e-5)


def test_the_last_row_is_black_for_some_heights():
    white = np.ones((1, 1024, 4), np.float32)
    result = resize_darknet(white, 5, 640)
    assert (result[:, :-1] > 0.999).all()
    assert (result[:, -1] < 0.001).all(), "float32 rounding in resize_image: row 639 lies just short of row 1023"


@pytest.mark.parametrize(("height", "count"), [(416, 267), (512, 0)])
def test_as_many_heights_lose_their_last_row_as_were_counted_with_darknet(height, count):
    lost = sum(int(np.float32(height - 1) * (np.float32(h - 1) / np.float32(height - 1))) != h - 1
               for h in range(2, 4001))
    assert lost == count
    probe = [h for h in (417, 500, 1000, 1023, 2049, 3001)
             if int(np.float32(height - 1) * (np.float32(h - 1) / np.float32(height - 1))) != h - 1]
    for h in probe:
        assert resize_darknet(np.ones((1, h, 2), np.float32), 3, height)[0, -1].max() < 0.01


def test_a_large_image_gives_the_same_when_only_the_needed_rows_are_read():
    image = np.random.default_rng(0).random((1, 900, 50), dtype=np.float32)
    np.testing.assert_array_equal(resize_darknet(image, 20, 30), by_hand(image, 20, 30))


def test_bytes_stand_for_value_over_255_rounded_once():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    wanted = (np.arange(256, dtype=np.float64) / 255).astype(np.float32).reshape(1, 16, 16)
    np.testing.assert_array_equal(resize_darknet(values, 16, 16), wanted)
    np.testing.assert_array_equal(resize_darknet(values, 11, 9), resize_darknet(wanted, 11, 9))


def test_the_result_is_never_the_input_itself():
    image = np.ones((1, 4, 4), np.float32)
    assert not np.shares_memory(resize_darknet(image, 4, 4), image)


def test_one_pixel_wide_or_high_results_take_the_pixels_at_the_start():
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    assert resize_darknet(image, 4, 1).tolist() == [[[0, 1, 2, 3]]]
    assert resize_darknet(image, 1, 3).tolist() == [[[3], [7], [11]]], "`c == w-1`: Darknet copies the last column"


@pytest.mark.parametrize(("image", "net", "wanted"), [
    ((640, 480), (416, 416), (416, 312)),
    ((480, 640), (416, 416), (312, 416)),
    ((500, 375), (416, 416), (416, 312)),
    ((500, 333), (416, 416), (416, 277)),
    ((1, 3000), (416, 416), (1, 416)),
    ((3000, 1), (416, 416), (416, 1)),
    ((100, 100), (608, 320), (320, 320)),
])
def test_the_letterbox_is_sized_by_integer_division(image, net, wanted):
    assert letterbox_size(*image, *net) == wanted


def test_the_letterbox_is_grey_around_the_resized_image():
    image = np.random.default_rng(1).random((3, 10, 20), dtype=np.float32)
    boxed = letterbox_darknet(image, 32, 32)
    np.testing.assert_array_equal(boxed[:, 8:24], resize_darknet(image, 32, 16))
    assert (boxed[:, :8] == 0.5).all()
    assert (boxed[:, 24:] == 0.5).all()


def test_opencvs_way_is_near_on_a_smooth_picture_but_not_the_same():
    y, x = np.mgrid[0:300, 0:400]
    image = np.stack([x * 255 // 400, y * 255 // 300, (x + y) * 255 // 700], axis=2).astype(np.uint8)
    for letterbox in (False, True):
        ours, _ = prepare(image, (160, 224), letterbox)
        theirs, _ = prepare(image, (160, 224), letterbox, method="cv2")
        assert 0 < np.abs(ours - theirs)[:, :-1].max() < 3 / 255


@pytest.mark.parametrize(("shape", "size", "message"), [
    ((3, 0, 5), (4, 4), "image: has the shape (3, 0, 5); give (channels, height, width), none of them 0"),
    ((5, 5), (4, 4), "image: has the shape (5, 5); give (channels, height, width), none of them 0"),
    ((3, 5, 5), (0, 4), "image: cannot be brought to 0x4 pixels; give a width and height of 1 or more"),
])
def test_what_has_no_pixels_is_refused(shape, size, message):
    for function in (resize_darknet, letterbox_darknet):
        with pytest.raises(DataError) as caught:
            function(np.zeros(shape, np.float32), *size)
        assert str(caught.value) == message
