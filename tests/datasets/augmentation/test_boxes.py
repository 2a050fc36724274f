"""Boxes on their way through an augmentation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.datasets.augmentation import (
    AugmentationOptions,
    apply_affine,
    clip_boxes,
    keep_visible,
    random_affine,
    to_pixels,
    to_relative,
    transform_boxes,
)

shares = st.floats(0.01, 1)


@given(st.lists(st.tuples(st.integers(0, 5), shares, shares, shares, shares), max_size=5), st.integers(1, 900),
       st.integers(1, 900))
def test_pixels_and_back_is_where_one_began(rows, width, height):
    labels = np.array(rows, dtype=np.float32).reshape(-1, 5)
    pixels = to_pixels(labels, width, height)
    np.testing.assert_allclose(pixels[:, 3] - pixels[:, 1], labels[:, 3] * width, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(to_relative(pixels, width, height), labels, atol=1e-5)
    assert pixels.dtype == np.float32


@given(st.integers(0, 10**6))
def test_moved_boxes_hold_their_moved_corners_and_no_more(seed):
    random = np.random.default_rng(seed)
    matrix = random_affine(random, AugmentationOptions(degrees=40, shear=20, scale=0.5, translate=0.3), (90, 70), (50, 60))
    x1, y1 = random.uniform(0, 40, 2)
    x2, y2 = x1 + random.uniform(1, 30), y1 + random.uniform(1, 30)
    (moved,) = transform_boxes(np.array([(3, x1, y1, x2, y2)], dtype=np.float32), matrix)
    corners = [(matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2], matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2])
               for x in (x1, x2) for y in (y1, y2)]
    wanted = 3, min(x for x, _ in corners), min(y for _, y in corners), max(x for x, _ in corners), \
        max(y for _, y in corners)
    np.testing.assert_allclose(moved, wanted, rtol=1e-4, atol=1e-3)


def test_the_middle_of_the_canvas_becomes_the_middle_of_the_image():
    for seed in range(20):
        matrix = random_affine(np.random.default_rng(seed), AugmentationOptions(degrees=30, shear=10, scale=0.4, translate=0),
                               (80, 120), (40, 60))
        np.testing.assert_allclose(matrix @ (60, 40, 1), (30, 20), atol=1e-9)
        if not seed:
            continue
        plain = random_affine(np.random.default_rng(seed), AugmentationOptions(degrees=30, shear=0, scale=0, translate=0),
                              (80, 120), (40, 60))
        np.testing.assert_allclose(plain[:, :2] @ plain[:, :2].T, np.eye(2), atol=1e-9)  # a turn keeps lengths


def test_ranges_of_the_random_move():
    options = AugmentationOptions(degrees=0, shear=0, scale=0.25, translate=0.125)
    found = np.array([random_affine(np.random.default_rng(seed), options, (100, 100), (80, 40)) for seed in range(600)])
    assert (found[:, 0, 1] == 0).all()
    np.testing.assert_allclose([found[:, 0, 0].min(), found[:, 0, 0].max()], (0.75, 1.25), atol=0.01)
    middle = found @ (50, 50, 1)
    np.testing.assert_allclose(middle.min(axis=0), (15, 30), atol=0.3)
    np.testing.assert_allclose(middle.max(axis=0), (25, 50), atol=0.3)


def test_a_whole_number_of_pixels_is_moved_exactly_and_a_doubling_keeps_the_middle():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    moved = apply_affine(image, np.array([(1.0, 0, 3), (0, 1, -2)]), (20, 30))
    np.testing.assert_array_equal(moved[:18, 3:], image[2:, :27])
    assert (moved[18:] == 128).all()
    assert (moved[:, :3] == 128).all()
    half = np.zeros((8, 8, 3), dtype=np.uint8)
    half[:, 4:] = 255
    grown = apply_affine(half, np.array([(2.0, 0, 0), (0, 2, 0)]), (16, 16))
    assert (grown[4:12, :8, 0] < 128).all()
    assert (grown[4:12, 8:15, 0] > 128).all(), "the edge at 4 is at 8 afterwards, not beside it"


ROW = (0, 10, 10, 30, 30)


@pytest.mark.parametrize(("box", "whole", "kept"), [
    ((0, 0, 20, 20), 400, True),
    ((0, 0, 4, 20), 80, False),
    ((0, 0, 4.1, 20), 82, True),
    ((0, 0, 20, 4), 80, False),
    ((0, 0, 20, 20), 4001, False),
    ((0, 0, 20, 20), 3999, True),
    ((0, 0, 100, 9), 1000, False),
    ((0, 0, 89, 9), 1000, True),
    ((0, 0, 100, 9), 900, True),
    ((5, 5, 5, 25), 0, False),
], ids=["whole", "narrow", "just wide enough", "flat", "hidden", "just visible", "cut to a stripe", "not quite a stripe",
        "a stripe by itself", "empty"])
def test_which_boxes_stay(box, whole, kept):
    labels = np.array([(0, *box)], dtype=np.float32)
    assert keep_visible(labels, np.array([whole])).tolist() == [kept]


def test_clipping():
    labels = np.array([(1, -5, 2, 40, 8), (2, 50, 50, 60, 60)], dtype=np.float32)
    assert clip_boxes(labels, 0, 3, 30, 20).tolist() == [[1, 0, 3, 30, 8], [2, 30, 20, 30, 20]]
    assert labels[0, 1] == -5
