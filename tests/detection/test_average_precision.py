"""Average precision: by hand, by a plain restatement of each definition, and by what must always hold."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.detection import DEFINITIONS, Matches, class_average_precision, mean_average_precision

CLOSES_AT_ONE = [name for name in DEFINITIONS if name != "peer"]


def matches(correct: str, labels: int) -> Matches:
    """'+-+' is a right, a wrong and a right detection, surest first."""
    return Matches(np.linspace(0.9, 0.1, len(correct)), np.array([c == "+" for c in correct], dtype=bool), labels)


@st.composite
def outcomes(draw) -> Matches:
    correct = draw(st.lists(st.booleans(), max_size=30))
    labels = draw(st.integers(max(1, sum(correct)), 40))
    return Matches(np.linspace(0.9, 0.1, len(correct)), np.array(correct, dtype=bool), labels)


@pytest.mark.parametrize(("definition", "expected"), [
    ("darknet", 1 / 2 + 1 / 2 * 2 / 3),
    ("voc2010", 1 / 2 + 1 / 2 * 2 / 3),
    ("voc2007", (6 * 1 + 5 * 2 / 3) / 11),
    ("darknet_11", (6 * 1 + 5 * 2 / 3) / 11),
    ("darknet_101", (51 * 1 + 50 * 2 / 3) / 101),
    # 49 steps of 0.01 at 1, one between 1 and 2/3, 49 at 2/3, one between 2/3 and 0
    ("peer", (49 + 5 / 6 + 49 * 2 / 3 + 1 / 3) / 100),
])
def test_right_wrong_right_of_two_labels(definition, expected):
    """Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: computed by hand."""
    assert class_average_precision(matches("+-+", 2), definition) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("definition", "expected"), [
    ("darknet", 0.3 * 1),
    ("voc2007", 4 / 11),  # recalls 0, 0.1, 0.2 and 0.3 itself, which 3/10 must reach
    ("darknet_101", 31 / 101),
    # the line falls from 1 at 0.3 to 0 at 0.301: 30 steps at 1 and half a step
    ("peer", (30 + 1 / 2) / 100),
])
def test_three_of_ten_found_and_nothing_wrong(definition, expected):
    assert class_average_precision(matches("+++", 10), definition) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_class_without_detections_has_0_and_one_without_labels_has_none(definition):
    assert class_average_precision(matches("", 3), definition) == 0
    assert math.isnan(class_average_precision(matches("--", 0), definition))
    assert math.isnan(mean_average_precision([matches("--", 0)], definition))
    assert class_average_precision(matches("---", 3), definition) == 0


@pytest.mark.parametrize("definition", CLOSES_AT_ONE)
@given(labels=st.integers(1, 50), wrong=st.integers(0, 5))
def test_a_perfect_detector_has_ap_1_whatever_follows(definition, labels, wrong):
    assert class_average_precision(matches("+" * labels + "-" * wrong, labels), definition) == pytest.approx(1)


@given(st.integers(1, 50))
def test_the_ancestors_perfect_detector_has_0_995(labels):
    """Its curve ends at (1, 0), so the last of its 100 trapezoids is a triangle."""
    assert class_average_precision(matches("+" * labels, labels), "peer") == pytest.approx(0.995)


@pytest.mark.parametrize("definition", DEFINITIONS)
@given(one=outcomes())
def test_ap_lies_between_0_and_1_and_wrong_detections_never_help(definition, one):
    ap = class_average_precision(one, definition)
    assert 0 <= ap <= 1
    worse = Matches(np.append(one.scores, 0.05), np.append(one.correct, False), one.labels)
    after = class_average_precision(worse, definition)
    if definition == "peer":  # its lines slope: a wrong detection at the end lowers the last point a little
        assert ap - 0.01 <= after <= ap + 1e-12
    else:
        assert after == pytest.approx(ap)
    first = Matches(np.append(0.95, one.scores), np.append(False, one.correct), one.labels)
    assert class_average_precision(first, definition) <= ap + 1e-12


def peer_by_the_book(one: Matches) -> float:
    """methods: recall and precision, (0, 0) and (r_last + 0.001, 0) added, envelope from the right, trapezoids."""
    tp, r, p = 0, [0.0], [0.0]
    for i, good in enumerate(one.correct, start=1):
        tp += int(good)
        r.append(tp / one.labels)
        p.append(tp / i)
    if len(r) == 1:
        return 0.0
    r.append(min(r[-1] + 1e-3, 1.0))
    p.append(0.0)
    for i in range(len(p) - 1, 0, -1):
        p[i - 1] = max(p[i - 1], p[i])
    y = np.interp(np.linspace(0, 1, 101), r, p)
    return sum((a + b) / 2 for a, b in pairwise(y)) / 100


def darknet_by_the_book(one: Matches, points: int) -> float:
    """The loops of `detector map`: rank by rank from below, or point by point."""
    tp, r, p = 0, [], []
    for i, good in enumerate(one.correct, start=1):
        tp += int(good)
        r.append(tp / one.labels)
        p.append(tp / i)
    if not r:
        return 0.0
    if points:
        return sum(max((b for a, b in zip(r, p, strict=True) if a >= k / (points - 1)), default=0.0)
                   for k in range(points)) / points
    area, last_recall, best = 0.0, r[-1], p[-1]
    for rank in range(len(r) - 2, -1, -1):
        step, last_recall = last_recall - r[rank], r[rank]
        best = max(best, p[rank])
        area += step * best
    return area + last_recall * best


@given(outcomes())
def test_each_definition_equals_its_description(one):
    assert class_average_precision(one, "peer") == pytest.approx(peer_by_the_book(one), abs=1e-12)
    assert class_average_precision(one, "darknet") == pytest.approx(darknet_by_the_book(one, 0), abs=1e-12)
    assert class_average_precision(one, "darknet_11") == pytest.approx(darknet_by_the_book(one, 11), abs=1e-12)
    assert class_average_precision(one, "darknet_101") == pytest.approx(darknet_by_the_book(one, 101), abs=1e-12)


def test_only_darknet_lets_classes_without_labels_into_the_mean():
    classes = [matches("+", 1), matches("--", 0), matches("-", 1)]
    assert mean_average_precision(classes, "voc2010") == 1 / 2
    assert mean_average_precision(classes, "darknet") == pytest.approx(1 / 3)
    assert mean_average_precision(classes, "peer") == pytest.approx(0.995 / 2)
