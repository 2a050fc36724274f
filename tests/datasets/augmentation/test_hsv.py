"""Hue, saturation and value, against Python's own colorsys."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from utils.datasets.augmentation import change_hsv, random_hsv_gains

PIXELS = np.random.default_rng(0).integers(0, 256, (1, 400, 3), dtype=np.uint8)


def changed(pixel: np.ndarray, gains: tuple[float, float, float]) -> list[float]:
    """One pixel by the formula: multiplied, the hue an angle, saturation and value at most 1."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
    return [255 * one for one in colorsys.hsv_to_rgb(hue * gains[0] % 1, min(1, saturation * gains[1]),
                                                     min(1, value * gains[2]))]


@pytest.mark.parametrize("gains", [(1, 1.4, 1), (1, 0.6, 1), (1, 1, 1.3), (1, 1, 0.7), (1.1, 1, 1), (0.9, 1, 1),
                                   (1.1, 1.5, 0.75)])
def test_each_pixel_is_what_the_formula_says(gains):
    result = change_hsv(PIXELS, gains)
    wanted = np.array([changed(pixel, gains) for pixel in PIXELS[0]])
    assert np.abs(result[0] - wanted).max() <= 9  # a step of OpenCV's hue is 2 degrees, 8.5 levels of a channel
    assert np.abs(result[0] - wanted).mean() < 1.5


def test_the_hue_goes_on_at_red_and_does_not_stop_there():
    violet = np.array([[(255, 0, 40)]], dtype=np.uint8)  # hue 351 degrees
    red, green, blue = change_hsv(violet, (1.1, 1.0, 1.0))[0, 0].tolist()  # 386, so 26: orange
    assert red == 255
    assert 90 < green < 130
    assert blue == 0


def test_grey_stays_grey_and_nothing_is_changed_in_place():
    grey = np.full((4, 4, 3), 128, dtype=np.uint8)
    before = PIXELS.copy()
    assert (np.ptp(change_hsv(grey, (1.1, 1.5, 1.2)), axis=-1) == 0).all()
    assert (grey == 128).all()
    same = change_hsv(PIXELS, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(same, before)
    assert not np.shares_memory(same, PIXELS)
    change_hsv(PIXELS, (1.1, 0.5, 0.5))
    np.testing.assert_array_equal(PIXELS, before)


def test_the_gains_fill_their_ranges():
    found = np.array([random_hsv_gains(np.random.default_rng(seed), 0.1, 0.5, 0.0) for seed in range(1000)])
    np.testing.assert_allclose(found.min(axis=0), (0.9, 0.5, 1), atol=0.01)
    np.testing.assert_allclose(found.max(axis=0), (1.1, 1.5, 1), atol=0.01)
    np.testing.assert_allclose(found.mean(axis=0), 1, atol=0.03)
