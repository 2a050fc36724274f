"""Which detections count as right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.detection import GroundTruth, match_detections
from utils.errors import DataError

SIZE = (100, 50)


def truth(*boxes, crowd=()) -> GroundTruth:
    """Boxes (class, x1, y1, x2, y2) in pixels; `crowd` are the indices of crowds."""
    rows = [(c, (x1 + x2) / 200, (y1 + y2) / 100, (x2 - x1) / 100, (y2 - y1) / 50, i in crowd)
            for i, (c, x1, y1, x2, y2) in enumerate(boxes)]
    return GroundTruth.from_labels(np.array(rows, dtype=float), SIZE, 3)


def found(*rows) -> np.ndarray:
    """Rows (class, score, x1, y1, x2, y2) as detections."""
    return np.array([(x1, y1, x2, y2, score, c) for c, score, x1, y1, x2, y2 in rows], dtype=float).reshape(-1, 6)


def test_labels_become_pixels():
    one = GroundTruth.from_labels([[1, 0.5, 0.5, 0.2, 0.4]], SIZE, 2)
    assert one.boxes.tolist() == [pytest.approx([40, 15, 60, 35])]
    assert one.area.tolist() == pytest.approx([400])
    assert one.classes.tolist() == [1]
    assert not one.crowd.any()


def test_crowds_and_areas_are_further_columns():
    one = GroundTruth.from_labels([[0, 0.5, 0.5, 0.2, 0.4, 1, 123.0]], SIZE, 2)
    assert one.crowd.tolist() == [True]
    assert one.area.tolist() == [123]


@pytest.mark.parametrize(("labels", "problem"), [
    ([[2, 0.5, 0.5, 0.1, 0.1]], "class 2"), ([[-1, 0.5, 0.5, 0.1, 0.1]], "class -1"),
    ([[0.5, 0.5, 0.5, 0.1, 0.1]], "class 0.5"), ([[0, 0.5, 0.5, 0.1]], "shape"),
    ([[0, 0.5, float("nan"), 0.1, 0.1]], "finite")])
def test_labels_that_mean_nothing_are_refused(labels, problem):
    with pytest.raises(DataError, match=problem):
        GroundTruth.from_labels(labels, SIZE, 2, where="labels of image 3")


def test_a_label_is_found_only_once_and_by_the_surest():
    a, _, _ = match_detections([found((0, 0.4, 0, 0, 10, 10), (0, 0.8, 0, 0, 10, 9))], [truth((0, 0, 0, 10, 10))], 3)
    assert a.scores.tolist() == [0.8, 0.4]
    assert a.correct.tolist() == [True, False]
    assert a.labels == 1


def test_there_is_no_second_choice():
    """Both detections overlap the first label most; that the second label fits the second one, too, does not help."""
    labels = truth((0, 0, 0, 10, 10), (0, 0, 3, 10, 13))
    a, _, _ = match_detections([found((0, 0.9, 0, 0, 10, 10), (0, 0.8, 0, 1, 10, 11))], [labels], 3)
    assert a.correct.tolist() == [True, False]


def test_the_overlap_must_exceed_the_threshold():
    half = [found((0, 0.9, 0, 0, 10, 5))]
    labels = [truth((0, 0, 0, 10, 10))]
    assert match_detections(half, labels, 3, iou=0.5)[0].correct.tolist() == [False]
    assert match_detections(half, labels, 3, iou=0.499)[0].correct.tolist() == [True]


def test_another_class_is_wrong_and_so_is_an_image_without_labels():
    detections = [found((1, 0.9, 0, 0, 10, 10)), found((0, 0.8, 0, 0, 10, 10)), found()]
    labels = [truth((0, 0, 0, 10, 10)), truth(), truth((2, 0, 0, 5, 5))]
    a, b, c = match_detections(detections, labels, 3)
    assert (a.correct.tolist(), a.labels) == ([False], 1)
    assert (b.correct.tolist(), b.labels) == ([False], 0)
    assert (c.correct.tolist(), c.labels) == ([], 1)


def test_what_fits_only_a_crowd_is_left_out():
    labels = truth((0, 0, 0, 10, 10), (0, 40, 0, 60, 20), crowd=(1,))
    detections = found((0, 0.9, 40, 0, 60, 20), (0, 0.8, 40, 1, 60, 20), (0, 0.7, 0, 0, 10, 10), (0, 0.6, 80, 0, 90, 9))
    a, _, _ = match_detections([detections], [labels], 3)
    assert a.scores.tolist() == [0.7, 0.6]
    assert a.correct.tolist() == [True, False]
    assert a.labels == 1


def test_a_crowd_behind_a_label_excuses_nobody_who_fits_the_label():
    labels = truth((0, 0, 0, 10, 10), (0, 0, 0, 11, 10), crowd=(1,))
    a, _, _ = match_detections([found((0, 0.9, 0, 0, 10, 10), (0, 0.8, 0, 0, 10, 10))], [labels], 3)
    assert a.correct.tolist() == [True, False]


def test_no_images_give_empty_classes():
    assert [(len(m.scores), m.labels) for m in match_detections([], [], 2)] == [(0, 0), (0, 0)]


def slow_matching(rows: np.ndarray, labels: GroundTruth) -> list[tuple[float, int, bool]]:
    """The ancestor's loop over one image, and its IoU written out."""
    taken, result = set(), []
    for x1, y1, x2, y2, score, c in sorted(rows.tolist(), key=lambda row: -row[4]):
        best, which = 0.0, None
        for j, (a1, b1, a2, b2) in enumerate(labels.boxes.tolist()):
            if labels.classes[j] != c:
                continue
            common = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
            union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - common
            if union and common / union > best:
                best, which = common / union, j
        good = best > 0.5 and which not in taken
        if good:
            taken.add(which)
        result.append((score, int(c), good))
    return result


@given(st.integers(0, 2**32 - 1), st.integers(0, 8), st.integers(0, 5))
def test_the_matching_equals_the_ancestors_loop(seed, n, m):
    rng = np.random.default_rng(seed)
    corner, side = rng.integers(0, 6, (m, 2)), rng.integers(1, 8, (m, 2))
    labels = truth(*np.column_stack((rng.integers(0, 2, m), corner, corner + side)).tolist())
    corner, side = rng.integers(0, 6, (n, 2)), rng.integers(1, 8, (n, 2))
    scores = rng.permutation(n) / 10
    detections = found(*np.column_stack((rng.integers(0, 2, n), scores, corner, corner + side)).tolist())
    expected = slow_matching(detections, labels)
    for c, matched in enumerate(match_detections([detections], [labels], 3)):
        assert list(zip(matched.scores.tolist(), matched.correct.tolist(), strict=True)) == \
            [(score, good) for score, of, good in expected if of == c]
