"""Rare classes more often."""

from __future__ import annotations

import numpy as np
import pytest

from utils.datasets import class_weights, image_weights
from utils.errors import DataError


def labels(*classes: int) -> np.ndarray:
    return np.array([(c, 0.5, 0.5, 0.1, 0.1) for c in classes], dtype=np.float32).reshape(-1, 5)


SET = [labels(0, 0, 0), labels(0, 1), labels(), labels(3)]


def test_a_class_weighs_the_inverse_of_its_boxes():
    np.testing.assert_allclose(class_weights(SET, 5), np.array([1 / 4, 1, 0, 1, 0]) / 2.25)
    assert class_weights([labels()], 2).tolist() == [0, 0]


def test_an_image_weighs_its_boxes_and_background_the_mean():
    found = image_weights(SET, np.array([1, 2, 9, 4, 9]))
    np.testing.assert_allclose(found, np.array([3, 3, 10 / 3, 4]) / (10 + 10 / 3))


@pytest.mark.parametrize("weights", [[0, 0, 9, 0], [-1, 1, 1, 1], [np.nan, 1, 1, 1]])
def test_weights_without_a_chance_are_refused(weights):
    with pytest.raises(DataError, match="class weights: give no image a chance to be drawn"):
        image_weights(SET, np.array(weights))
