"""Precision, recall and F1 at a threshold, and the choice of that threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.detection import Matches, PrecisionRecall, best_common_confidence


def curve(scores, correct, labels):
    return PrecisionRecall.of(Matches(np.array(scores, dtype=float), np.array(correct, dtype=bool), labels))


@st.composite
def curves(draw) -> tuple[PrecisionRecall, list[float], list[bool], int]:
    rows = draw(st.lists(st.tuples(st.integers(1, 9).map(lambda i: i / 10), st.booleans()), max_size=15))
    rows.sort(key=lambda row: -row[0])
    scores, correct = [s for s, _ in rows], [c for _, c in rows]
    labels = draw(st.integers(max(1, sum(correct)), 20))
    return curve(scores, correct, labels), scores, correct, labels


def counted(scores, correct, labels, confidence) -> tuple[float, float, float]:
    kept = [good for score, good in zip(scores, correct, strict=True) if score >= confidence]
    tp = sum(kept)
    return (tp / len(kept) if kept else 0.0), tp / labels, 2 * tp / (len(kept) + labels)


@given(curves(), st.floats(0, 1))
def test_a_point_counts_what_reaches_the_threshold(drawn, confidence):
    one, *truth = drawn
    point = one.at(confidence)
    assert (point.precision, point.recall, point.f1) == pytest.approx(counted(*truth, confidence))


@given(curves())
def test_the_best_threshold_is_the_best_of_all(drawn):
    one, scores, correct, labels = drawn
    best = one.best()
    assert best.f1 == pytest.approx(max([counted(scores, correct, labels, s)[2] for s in scores], default=0.0))
    if scores:
        assert best == one.at(best.confidence)


def test_no_threshold_can_part_equal_scores():
    """Halfway through the run of 0.5 the F1 would be 1, but nobody can stop there."""
    one = curve([0.9, 0.5, 0.5, 0.5, 0.5], [True, True, False, False, False], 2)
    assert (one.best().confidence, one.best().f1) == (0.9, pytest.approx(2 / 3))
    assert best_common_confidence([one]) == 0.9


@given(st.lists(curves(), max_size=4))
def test_the_common_threshold_has_the_best_mean_f1(drawn):
    found = best_common_confidence([one for one, *_ in drawn])
    candidates = sorted({s for _, scores, *_ in drawn for s in scores})
    means = [sum(counted(*truth, c)[2] for _, *truth in drawn) for c in candidates]
    assert sum(counted(*truth, found)[2] for _, *truth in drawn) == pytest.approx(max(means, default=0.0))


def test_the_last_point_keeps_everything():
    one = curve([0.9, 0.5, 0.001], [True, False, False], 2)
    assert one.last() == one.at(0.001)
    assert one.last().recall == one.at(0.0).recall == 0.5
    assert one.last().precision == pytest.approx(1 / 3)
    assert one.last().f1 == pytest.approx(0.4)


def test_without_detections_everything_is_0():
    empty = curve([], [], 4)
    assert empty.last() == empty.best()
    assert (empty.last().precision, empty.last().recall, empty.last().f1) == (0, 0, 0)
    assert best_common_confidence([empty]) == best_common_confidence([]) == 0


def test_a_class_without_labels_has_no_curve():
    with pytest.raises(ValueError, match="without labels"):
        curve([0.5], [False], 0)
