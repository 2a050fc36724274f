"""Boxes: conversions undo each other, IoU obeys its definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils.detection import clip_boxes, pairwise_iou, xywh_to_xyxy, xyxy_to_xywh

coordinates = st.integers(-40, 40)
sides = st.integers(0, 30)
boxes = st.tuples(coordinates, coordinates, sides, sides).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


def tensor(*rows):
    return torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)


def test_a_box_is_its_centre_and_its_size():
    assert xywh_to_xyxy(tensor((5, 6, 4, 2))).tolist() == [[3, 5, 7, 7]]


@given(st.lists(boxes, max_size=6))
def test_the_two_conversions_undo_each_other(rows):
    xyxy = tensor(*rows)
    assert torch.equal(xywh_to_xyxy(xyxy_to_xywh(xyxy)), xyxy)


def test_conversions_take_any_number_of_leading_axes():
    x = torch.arange(48.0).reshape(2, 3, 2, 4)
    assert torch.equal(xyxy_to_xywh(xywh_to_xyxy(x)), x)


def test_clipping_keeps_what_lies_inside_and_flattens_what_lies_outside():
    clipped = clip_boxes(tensor((1, 2, 3, 4), (-5, -5, 50, 7), (-9, 3, -2, 5), (99, 99, 120, 130)), width=20, height=10)
    assert clipped.tolist() == [[1, 2, 3, 4], [0, 0, 20, 7], [0, 3, 0, 5], [20, 10, 20, 10]]


def test_iou_of_known_boxes():
    """Half overlapping unit squares share 1/2 of 3/2; a box in one four times as large has 1/4."""
    a = tensor((0, 0, 2, 2))
    b = tensor((1, 0, 3, 2), (0, 0, 2, 2), (-1, -1, 3, 3), (2, 0, 4, 2), (7, 7, 9, 9))
    assert pairwise_iou(a, b).tolist() == [[pytest.approx(1 / 3), 1.0, 0.25, 0.0, 0.0]]


def test_boxes_without_area_overlap_nothing_not_even_themselves():
    point = tensor((3, 3, 3, 3))
    assert pairwise_iou(point, point).tolist() == [[0.0]]


def test_no_boxes_give_an_empty_table():
    assert pairwise_iou(tensor(), tensor((0, 0, 1, 1))).shape == (0, 1)
    assert pairwise_iou(tensor((0, 0, 1, 1)), tensor()).shape == (1, 0)


@given(boxes, boxes)
def test_iou_counts_the_unit_squares_in_common(a, b):
    """On integer boxes the IoU is a ratio of two counts."""
    cells = [{(x, y) for x in range(r[0], r[2]) for y in range(r[1], r[3])} for r in (a, b)]
    union = len(cells[0] | cells[1])
    expected = len(cells[0] & cells[1]) / union if union else 0.0
    assert pairwise_iou(tensor(a), tensor(b)).item() == pytest.approx(expected, abs=1e-15)


@given(st.lists(boxes, max_size=5), st.lists(boxes, max_size=5))
def test_iou_is_symmetric(a, b):
    assert torch.equal(pairwise_iou(tensor(*a), tensor(*b)), pairwise_iou(tensor(*b), tensor(*a)).T)
