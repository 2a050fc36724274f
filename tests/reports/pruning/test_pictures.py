"""Detections before and after: boxes in the picture's own pixels, counts in words, and everything within the address."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from utils.reports import class_colour, side_by_side

NAMES = ["cat", "dog"]


def decoded(address: str) -> np.ndarray:
    kind, _, data = address.partition(",")
    assert kind == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(("height", "width", "shown"), [(400, 500, (400, 500)), (2000, 1000, (560, 280))])
def test_a_large_image_becomes_smaller_and_its_boxes_with_it(height, width, shown):
    image = np.full((height, width, 3), 128, np.uint8)
    box = np.array([[0.25 * width, 0.5 * height, 0.75 * width, 0.9 * height, 0.9, 1]])
    pair = side_by_side("a.jpg", image, box, np.zeros((0, 6)), NAMES)
    before, after = decoded(pair.before), decoded(pair.after)
    assert before.shape[:2] == after.shape[:2] == (pair.height, pair.width) == shown
    edge = before[round(0.7 * shown[0]), round(0.25 * shown[1]) - 1:round(0.25 * shown[1]) + 3].astype(int)
    assert np.abs(edge - class_colour(1)).sum(axis=1).min() < 120, "the left side of the box"
    assert np.abs(after.astype(int) - 128).max() < 12, "nothing was found"


def test_what_was_found_is_said_the_most_frequent_first():
    found = np.array([[1, 1, 9, 9, 0.9, 1], [1, 1, 9, 9, 0.8, 0], [3, 3, 9, 9, 0.7, 1], [3, 3, 9, 9, 0.7, 7]])
    pair = side_by_side("a.jpg", np.zeros((20, 20, 3), np.uint8), found, np.zeros((0, 6)), NAMES)
    assert pair.found_before == "2 dog, 1 cat, 1 class 7"
    assert pair.found_after == "nothing"
