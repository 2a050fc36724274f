"""Boxes with names on pictures of every size."""

from __future__ import annotations

import numpy as np
import pytest

from utils.reports import class_colour, class_name, draw_detections, enlargement


def test_the_picture_is_a_copy_and_its_box_has_the_colour_of_its_class():
    image = np.full((400, 600, 3), 90, np.uint8)
    before = image.copy()
    drawn = draw_detections(image, np.array([[100.0, 150, 300, 350, 0.9, 2]]), ["a", "b", "dog"])
    assert (image == before).all()
    assert drawn.shape == image.shape
    assert tuple(drawn[250, 100]) == class_colour(2)
    assert tuple(drawn[250, 200]) == (90, 90, 90)


def test_neighbouring_classes_have_colours_far_apart():
    colours = np.array([class_colour(i) for i in range(80)], float)
    distances = np.abs(np.diff(colours, axis=0)).max(1)
    assert distances.min() > 60
    assert len({class_colour(i) for i in range(20)}) == 20


@pytest.mark.parametrize("size", [(8, 8), (56, 56), (20, 400), (300, 40), (480, 640)])
def test_boxes_beyond_the_border_and_tiny_pictures_draw_without_trouble(size):
    boxes = np.array([[-50.0, -50, 1000, 1000, 0.5, 0], [0, 0, 0, 0, 0.1, 99], [1e30, np.nan, 3, 4, 0.2, 1]])
    drawn = draw_detections(np.zeros((*size, 3), np.uint8), boxes, ["person"])
    factor = enlargement(*size)
    assert drawn.shape == (size[0] * factor, size[1] * factor, 3)
    assert drawn.any()


def test_small_pictures_are_enlarged_by_a_whole_number_so_that_labels_are_legible():
    assert [enlargement(side, side) for side in (10, 56, 160, 319, 320, 1000)] == [8, 6, 2, 1, 1, 1]


def test_no_detections_leave_the_picture_as_it_is():
    image = np.arange(330 * 340 * 3, dtype=np.uint8).reshape(330, 340, 3)
    assert (draw_detections(image, np.zeros((0, 6))) == image).all()


def test_a_class_without_a_name_is_called_by_its_number():
    assert [class_name(i, ["person", ""]) for i in range(3)] == ["person", "class 1", "class 2"]
