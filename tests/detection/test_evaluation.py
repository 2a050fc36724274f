"""The whole evaluation: every figure under its own name."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.detection import Metrics, evaluate
from utils.errors import DataError

NAMES = ("hand", "foot", "nose")
NOTHING = np.zeros((0, 6), dtype=np.float32)
SIZE = (200.0, 100.0)


def label(c: int, x1: float, y1: float, x2: float, y2: float) -> list[float]:
    return [c, (x1 + x2) / 2 / 200, (y1 + y2) / 2 / 100, (x2 - x1) / 200, (y2 - y1) / 100]


def small_set() -> Metrics:
    """Hands: right 0.9, wrong 0.8, right 0.7 of two. Feet: one label, found at 0.75. Noses: no label, one wrong."""
    labels = [np.array([label(0, 0, 0, 20, 20), label(1, 50, 50, 90, 90)]), np.zeros((0, 5)),
              np.array([label(0, 10, 10, 40, 60)])]
    detections = [
        np.array([[0, 0, 20, 20, 0.9, 0], [50, 50, 90, 90, 0.75, 1]], dtype=np.float32),
        np.array([[5, 5, 30, 30, 0.8, 0], [0, 0, 9, 9, 0.95, 2]], dtype=np.float32),
        np.array([[10, 10, 40, 60, 0.7, 0]], dtype=np.float32),
    ]
    return evaluate(detections, labels, [SIZE] * 3, NAMES)


def test_the_figures_of_a_small_set_by_hand():
    m = small_set()
    assert (m.images, m.labels, m.detections) == (3, 3, 5)
    hands = 1 / 2 + 1 / 2 * 2 / 3
    assert m.map50_darknet == pytest.approx((hands + 1 + 0) / 3)
    assert m.map50_peer == pytest.approx(((49 + 5 / 6 + 49 * 2 / 3 + 1 / 3) / 100 + 0.995) / 2)
    coco = ((51 + 50 * 2 / 3) / 101 + 1) / 2
    assert (m.map50_coco, m.map75_coco, m.map) == pytest.approx((coco, coco, coco))


def test_the_shown_precision_is_that_of_the_common_threshold_and_the_ancestors_has_its_own_name():
    """At 0.7 hands have P 2/3, R 1, F1 0.8 and feet 1, 1, 1; no other threshold has a mean F1 above 0.9."""
    m = small_set()
    assert m.confidence == pytest.approx(0.7)
    assert (m.precision, m.recall, m.f1) == pytest.approx((5 / 6, 1, 0.9))
    assert (m.precision_last, m.recall_last, m.f1_last) == pytest.approx((5 / 6, 1, 0.9))
    hand, foot, nose = m.per_class
    assert (hand.precision, hand.recall, hand.f1, hand.labels, hand.detections) == pytest.approx((2 / 3, 1, 0.8, 2, 3))
    assert (foot.best_f1, foot.best_confidence) == (1, 0.75)
    assert (nose.labels, nose.detections) == (0, 1)
    assert math.isnan(nose.f1)
    assert math.isnan(nose.ap50_coco)


def test_a_flood_of_unsure_detections_spoils_only_the_ancestors_precision():
    box = label(0, 0, 0, 20, 20)
    flood = [[i, 60, i + 10, 70, 0.01, 0] for i in range(0, 150, 10)]
    m = evaluate([np.array([[0, 0, 20, 20, 0.9, 0], *flood])], [np.array([box])], [SIZE], ("hand",))
    assert (m.precision, m.f1, m.confidence) == (1, 1, 0.9)
    assert m.precision_last == pytest.approx(1 / 16)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_all_figures_lie_between_0_and_1_or_are_undefined(seed, images):
    rng = np.random.default_rng(seed)
    labels, detections = [], []
    for _ in range(images):
        m, n = rng.integers(0, 4, 2)
        boxes = np.concatenate((rng.uniform(0.3, 0.7, (m, 2)), rng.uniform(0.1, 0.5, (m, 2))), axis=1)
        labels.append(np.column_stack((rng.integers(0, 3, m), boxes)))
        corner = rng.uniform(0, 90, (n, 2))
        detections.append(np.column_stack((corner, corner + rng.uniform(5, 60, (n, 2)), rng.random(n),
                                           rng.integers(0, 3, n))))
    metrics = evaluate(detections, labels, [SIZE] * images, NAMES).to_dict()
    rows = metrics.pop("per_class")
    for figures in (metrics, *rows):
        for name, value in figures.items():
            if name not in ("images", "labels", "detections", "name") and value is not None:
                assert 0 <= value <= 1, name
    assert (metrics["map"] is None) == (metrics["labels"] == 0)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_order_of_images_and_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    labels, detections = [], []
    for _ in range(4):
        corner = rng.uniform(0, 60, (3, 2))
        boxes = np.concatenate((corner, corner + rng.uniform(10, 40, (3, 2))), axis=1)
        kinds = rng.integers(0, 3, 3)
        labels.append(np.array([label(c, *b) for c, b in zip(kinds, boxes, strict=True)]))
        detections.append(np.column_stack((boxes + rng.normal(0, 4, boxes.shape), rng.random(3), kinds)))
    order = rng.permutation(4)
    one = evaluate(detections, labels, [SIZE] * 4, NAMES).to_dict()
    other = evaluate([detections[i][rng.permutation(3)] for i in order], [labels[i] for i in order], [SIZE] * 4, NAMES)
    assert close(one, other.to_dict())


def close(a, b) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return a == b if not isinstance(a, float) or b is None else a == pytest.approx(b)


def test_a_perfect_detector_has_1_everywhere_but_in_the_ancestors_map():
    boxes = [(0, 10, 10, 50, 50), (1, 20, 5, 60, 90), (2, 100, 10, 180, 95)]
    labels = [np.array([label(*b) for b in boxes], dtype=np.float32)]
    detections = [np.array([[*b[1:], 0.6 + b[0] / 10, b[0]] for b in boxes], dtype=np.float32)]
    m = evaluate(detections, labels, [SIZE], NAMES)
    assert (m.precision, m.recall, m.f1, m.map, m.map50_coco, m.map50_darknet) == pytest.approx((1,) * 6)
    assert m.map50_peer == pytest.approx(0.995)


def test_no_detections_give_0():
    m = evaluate([NOTHING], [np.array([label(0, 0, 0, 20, 20)])], [SIZE], NAMES)
    assert (m.precision, m.recall, m.f1, m.map, m.map50_peer, m.map50_darknet, m.confidence) == (0,) * 7


@pytest.mark.parametrize("images", [0, 2])
def test_no_labels_leave_the_figures_undefined(images):
    m = evaluate([NOTHING] * images, [np.zeros((0, 5))] * images, [SIZE] * images, NAMES)
    assert math.isnan(m.map)
    assert math.isnan(m.f1)
    assert m.to_dict()["map50_peer"] is None


def test_the_dict_is_json_and_keeps_every_name():
    text = json.dumps(small_set().to_dict(), allow_nan=False)
    assert set(json.loads(text)) == set(Metrics.__dataclass_fields__)


@pytest.mark.parametrize(("detections", "labels", "problem"), [
    ([NOTHING, NOTHING], [np.zeros((0, 5))], "images"),
    ([np.array([[0, 0, 1, 1, 0.5, 3.0]])], [np.zeros((0, 5))], "detections of image 0: hold the class 3"),
    ([np.zeros((2, 5))], [np.zeros((0, 5))], "detections of image 0: have the shape"),
    ([NOTHING], [np.array([[7, 0.5, 0.5, 0.1, 0.1]])], "labels of image 0: hold the class 7"),
    ([np.array([[0, 0, np.inf, 1, 0.5, 0]])], [np.zeros((0, 5))], "finite"),
])
def test_input_that_means_nothing_is_refused(detections, labels, problem):
    with pytest.raises(DataError, match=problem):
        evaluate(detections, labels, [SIZE], NAMES)
