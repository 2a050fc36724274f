"""Which places answer for a box: against loops, and the corners of each rule by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detection.slow_loss import slow_assign
from utils.detection import AnchorRule, HeadLossOptions, Positives, assign
from utils.detection.assignment import ASSIGN_RULES

SIZE = (64, 96)  # height, width
GRIDS = [(2, 3), (4, 6)]
ALL = ((4.0, 5.0), (9.0, 20.0), (30.0, 12.0), (40.0, 45.0))
THRESHOLDS = {"iou": 0.4, "ratio": 2.0, "darknet": 0.6}

PART = st.integers(0, 4096).map(lambda n: n / 4096)
TARGETS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), PART, PART, PART, PART), max_size=12)


def heads(rule: str, **more) -> list[HeadLossOptions]:
    masks = ((2, 3), (0, 1))
    return [HeadLossOptions(tuple(ALL[m] for m in mask), 4, all_anchors=ALL, anchor_mask=mask, assign=rule,
                            assign_threshold=THRESHOLDS[rule], **more) for mask in masks]


def as_tensor(targets) -> torch.Tensor:
    return torch.tensor(targets, dtype=torch.float64).reshape(-1, 6)


def rows(positives: Positives) -> list[tuple]:
    """(place, class, truth), sorted."""
    places = zip(positives.image.tolist(), positives.anchor.tolist(), positives.row.tolist(),
                 positives.column.tolist(), strict=True)
    return sorted(zip(places, positives.classes.tolist(), map(tuple, positives.truth.tolist()), strict=True))


def places(targets, rule: AnchorRule, grid=(4, 6), **more) -> list[tuple[int, int, int]]:
    """(anchor, row, column) of one head."""
    (positives,) = assign(as_tensor(targets), [rule], [grid], SIZE, **more)
    return [place[1:] for place, _, _ in rows(positives)]


@pytest.mark.parametrize("best_anchor", [True, False])
@pytest.mark.parametrize("rule", ASSIGN_RULES)
@settings(max_examples=30)
@given(targets=TARGETS)
def test_the_places_are_those_of_a_loop(rule, best_anchor, targets):
    options = heads(rule, best_anchor=best_anchor)
    expected = slow_assign(as_tensor(targets), options, GRIDS, SIZE)
    found = assign(as_tensor(targets), [head.rule for head in options], GRIDS, SIZE, best_anchor=best_anchor)
    assert [rows(one) for one in found] == [sorted(one) for one in expected]


@pytest.mark.parametrize("rule", ASSIGN_RULES)
@settings(max_examples=30)
@given(targets=TARGETS)
def test_every_object_finds_somebody(rule, targets):
    found = assign(as_tensor(targets), [head.rule for head in heads(rule)], GRIDS, SIZE)
    served = set(torch.cat([one.target for one in found]).tolist())
    assert served == {number for number, target in enumerate(targets) if target[4] > 0 and target[5] > 0}


@pytest.mark.parametrize("rule", ASSIGN_RULES)
@settings(max_examples=30)
@given(targets=TARGETS)
def test_places_lie_on_the_map_and_keep_their_boxes(rule, targets):
    for one, grid in zip(assign(as_tensor(targets), [head.rule for head in heads(rule)], GRIDS, SIZE), GRIDS,
                         strict=True):
        assert ((one.row >= 0) & (one.row < grid[0]) & (one.column >= 0) & (one.column < grid[1])).all()
        scale = torch.tensor([grid[1], grid[0]] * 2, dtype=torch.float64)
        torch.testing.assert_close(one.truth / scale, as_tensor(targets)[one.target, 2:])
        away = one.truth[:, :2] - torch.stack((one.column, one.row), dim=-1)
        assert ((away >= -0.5) & (away <= 1.5)).all()


def test_a_centre_on_the_far_border_belongs_to_the_last_cell():
    rule = AnchorRule(((16.0, 16.0),), 0.3)
    assert places([(0, 0, 1.0, 1.0, 16 / 96, 16 / 64)], rule) == [(0, 3, 5)]
    assert places([(0, 0, 0.0, 0.0, 16 / 96, 16 / 64)], rule) == [(0, 0, 0)]


@pytest.mark.parametrize(("x", "y", "cells"), [
    (2.25, 1.75, [(1, 1), (1, 2), (2, 2)]),  # left and below
    (2.75, 1.25, [(0, 2), (1, 2), (1, 3)]),  # right and above
    (2.5, 1.5, [(1, 2)]),
    (0.25, 0.25, [(0, 0)]),
    (5.75, 3.75, [(3, 5)]),
    (6.0, 4.0, [(3, 5)]),
])
def test_by_ratio_the_nearer_neighbours_answer_too(x, y, cells):
    rule = AnchorRule(((16.0, 16.0),), 4.0, "ratio")
    assert places([(0, 0, x / 6, y / 4, 16 / 96, 16 / 64)], rule) == [(0, *cell) for cell in cells]


@pytest.mark.parametrize(("width", "answers"), [(63.9, True), (64.1, False), (4.1, True), (3.9, False)])
def test_by_ratio_no_side_may_be_four_times_longer_or_shorter(width, answers):
    rule = AnchorRule(((16.0, 16.0),), 4.0, "ratio")
    target = [(0, 0, 0.5 / 6, 0.5 / 4, width / 96, 16 / 64)]
    assert bool(places(target, rule, best_anchor=False)) is answers


def test_by_darknets_rule_an_anchor_of_no_head_takes_its_boxes_along_unless_none_may_be_lost():
    """yolov4-tiny: no mask names anchor 0."""
    rule = AnchorRule(ALL[1:], 1.0, "darknet", all_anchors=ALL, mask=(1, 2, 3))
    tiny = [(0, 0, 0.5, 0.5, 4 / 96, 5 / 64)]
    assert places(tiny, rule, best_anchor=False) == []
    assert places(tiny, rule) == [(0, 2, 3)]


def test_by_darknets_rule_a_mask_says_which_anchor_is_which():
    rule = AnchorRule((ALL[3], ALL[1]), 1.0, "darknet", all_anchors=ALL, mask=(3, 1))
    assert places([(0, 0, 0.5, 0.5, 9 / 96, 20 / 64)], rule) == [(1, 2, 3)]


def test_anchors_in_cells_are_those_in_pixels_divided_by_the_stride():
    targets = [(0, 0, 0.3, 0.6, 0.2, 0.3), (1, 1, 0.9, 0.1, 0.4, 0.1)]
    pixels = AnchorRule(((16.0, 32.0), (48.0, 8.0)), 0.3)
    cells = AnchorRule(((1.0, 2.0), (3.0, 0.5)), 0.3, unit="cells")
    assert places(targets, pixels) == places(targets, cells) != []


def test_of_equal_fits_the_first_head_and_the_first_anchor_is_taken():
    rule = AnchorRule(((10.0, 10.0), (10.0, 10.0)), 2.0)
    first, second = assign(as_tensor([(0, 0, 0.5, 0.5, 0.5, 0.5)]), [rule, rule], GRIDS, SIZE)
    assert [place for place, _, _ in rows(first)] == [(0, 0, 1, 1)]
    assert len(second) == 0


@pytest.mark.parametrize("rule", ASSIGN_RULES)
def test_no_targets_give_no_places(rule):
    for one in assign(torch.zeros(0, 6), [head.rule for head in heads(rule)], GRIDS, SIZE):
        assert len(one) == 0
        assert one.truth.shape == (0, 4)
        assert one.image.dtype == one.row.dtype == torch.int64
