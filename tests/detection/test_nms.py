"""Selection and suppression against a slow restatement of Darknet's loops, and by their properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from utils.detection import darknet_rows, select_detections
from utils.errors import OptionError

KINDS = ("default", "greedynms", "diounms")


def overlap(a, b, kind: str, beta: float) -> float:
    """Two boxes cx cy w h, as box.c compares them."""
    lo = [max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2) for i in (0, 1)]
    hi = [min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) for i in (0, 1)]
    common = max(hi[0] - lo[0], 0) * max(hi[1] - lo[1], 0)
    union = a[2] * a[3] + b[2] * b[3] - common
    iou = common / union if union else 0.0
    if kind == "default":
        return iou
    around = [max(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - min(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2)
              for i in (0, 1)]
    diagonal = around[0] ** 2 + around[1] ** 2
    distance = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    exponent = 0.6 if kind == "greedynms" else beta
    return iou - (distance / diagonal) ** exponent if diagonal else iou


def slow_selection(predictions: np.ndarray, conf: float, iou: float, kind: str, beta: float, gate: str) -> set:
    """(box index, class) pairs that Darknet's loops leave."""
    left = set()
    for c in range(predictions.shape[1] - 5):
        alive = {i: row[4] * row[5 + c] for i, row in enumerate(predictions)
                 if (gate == "product" or row[4] > conf) and row[4] * row[5 + c] > conf}
        order = sorted(alive, key=lambda i: (-alive[i], i))
        for place, i in enumerate(order):
            if not alive[i]:
                continue
            left.add((i, c))
            for j in order[place + 1:]:
                if overlap(predictions[i], predictions[j], kind, beta) > iou:
                    alive[j] = 0
    return left


@st.composite
def crowded_predictions(draw, most: int = 24) -> np.ndarray:
    """Boxes on a small grid, so that many overlap; scores are sixteenths, so that some are equal."""
    n, classes = draw(st.integers(0, most)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return np.concatenate((rng.integers(0, 12, (n, 2)), rng.integers(0, 10, (n, 2)),
                           rng.integers(0, 17, (n, 1 + classes)) / 16), axis=1).astype(np.float64)


def distinct(predictions: np.ndarray) -> np.ndarray:
    """The same boxes, no two with the same probability in a class."""
    predictions = predictions.copy()
    predictions[:, 4] = 1 - np.arange(len(predictions)) / 1000
    predictions[:, 5:] = np.clip(predictions[:, 5:], 0.3, 1)
    return predictions


def as_set(rows: np.ndarray) -> set:
    return {tuple(np.round(row, 9)) for row in rows}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gate", ["objectness", "product"])
@given(predictions=crowded_predictions(), conf=st.sampled_from([0.001, 0.25, 0.5]),
       iou=st.sampled_from([0.123, 0.4567, 0.7]))
def test_selection_equals_darknets_loops(kind, gate, predictions, conf, iou):
    expected = slow_selection(predictions, conf, iou, kind, 0.7, gate)
    options = {"conf": conf, "iou": iou, "kind": kind, "beta": 0.7, "gate": gate}
    selected = select_detections(predictions, **options)
    rows = [(*p[:2] - p[2:4] / 2, *p[:2] + p[2:4] / 2, p[4] * p[5 + c], c)
            for p, c in ((predictions[i], c) for i, c in expected)]
    assert len(selected) == len(rows)
    assert as_set(selected) == as_set(np.array(rows).reshape(-1, 6))

    held = darknet_rows(predictions, **options)
    kept = [i for i, row in enumerate(predictions) if gate == "product" or row[4] > conf]
    assert len(held) == len(kept)
    assert {(kept[i], c) for i, c in zip(*np.nonzero(held[:, 5:]), strict=True)} == expected


@given(crowded_predictions(), st.sampled_from(KINDS))
def test_the_surest_come_first_and_a_limit_keeps_the_surest(predictions, kind):
    everything = select_detections(predictions, conf=0.1, kind=kind)
    assert (np.diff(everything[:, 4]) <= 0).all()
    for limit in (0, 1, 3):
        assert np.array_equal(select_detections(predictions, conf=0.1, kind=kind, max_detections=limit),
                              everything[:limit])


@pytest.mark.parametrize("limit", [1, 10, 40, 300])
def test_a_limit_changes_nothing_but_the_length_when_thousands_compete(limit):
    rng = np.random.default_rng(limit)
    n = 6000
    predictions = np.concatenate((rng.uniform(0, 400, (n, 2)), rng.uniform(5, 120, (n, 2)), rng.random((n, 4))), axis=1)
    options = {"conf": 0.001, "iou": 0.5, "max_candidates": None}
    assert np.array_equal(select_detections(predictions, **options, max_detections=limit),
                          select_detections(predictions, **options)[:limit])


@given(crowded_predictions(), st.sampled_from(KINDS))
def test_selecting_from_what_was_selected_changes_nothing(predictions, kind):
    once = select_detections(predictions, conf=0.1, kind=kind)
    classes = predictions.shape[1] - 5
    again = np.zeros((len(once), 5 + classes))
    again[:, :2], again[:, 2:4], again[:, 4] = (once[:, :2] + once[:, 2:4]) / 2, once[:, 2:4] - once[:, :2], 1
    again[np.arange(len(once)), 5 + once[:, 5].astype(int)] = once[:, 4]
    assert as_set(select_detections(again, conf=0.1, kind=kind)) == as_set(once)


@given(crowded_predictions(), st.sampled_from(KINDS), st.randoms(use_true_random=False))
def test_the_order_of_the_boxes_does_not_matter_unless_scores_are_equal(predictions, kind, random):
    predictions = distinct(predictions)
    order = list(range(len(predictions)))
    random.shuffle(order)
    assert as_set(select_detections(predictions[order], conf=0.1, kind=kind)) == \
        as_set(select_detections(predictions, conf=0.1, kind=kind))


@given(crowded_predictions())
def test_classes_do_not_suppress_each_other(predictions):
    together = select_detections(predictions, conf=0.1)
    for c in range(predictions.shape[1] - 5):
        alone = select_detections(predictions[:, [0, 1, 2, 3, 4, 5 + c]], conf=0.1)
        assert np.array_equal(together[together[:, 5] == c][:, :5], alone[:, :5])


def test_thresholds_are_strict():
    sure = np.array([[50, 50, 10, 10, 0.5, 0.9], [5, 5, 10, 10, 0.75, 0.5], [9, 80, 10, 10, 1.0, 0.5]])
    assert len(select_detections(sure, conf=0.5)) == 0
    assert len(select_detections(sure, conf=0.499)) == 1
    twins = np.array([[5, 5, 10, 10, 1, 0.9], [5, 2.5, 10, 5, 1, 0.8]])  # IoU exactly 1/2
    assert len(select_detections(twins, iou=0.5)) == 2
    assert len(select_detections(twins, iou=0.499)) == 1


def test_a_region_box_needs_no_objectness_of_its_own():
    """Without softmax a class score may exceed 1, and the product the threshold, though the objectness does not."""
    box = np.array([[5, 5, 2, 2, 0.2, 3.0]])
    assert len(select_detections(box, conf=0.25)) == 0
    (detection,) = select_detections(box, conf=0.25, gate="product")
    assert detection.tolist() == pytest.approx([4, 4, 6, 6, 0.6, 0])


def test_one_box_may_be_of_several_classes():
    (first, second) = select_detections(np.array([[5, 5, 2, 2, 1.0, 0.5, 0.1, 0.75]]), conf=0.25)
    assert (first[5], second[5]) == (2, 0)


def test_distances_are_measured_in_the_picture_not_in_pixels():
    """Two boxes apart in x only: the wider the picture, the smaller a fraction of it they are apart."""
    pair = np.array([[20, 20, 16, 16, 1, 0.9], [24, 20, 16, 16, 1, 0.8]])
    iou, share = 12 / 20, (4 / 100) ** 2 / ((20 / 100) ** 2 + (16 / 10) ** 2)
    between = iou - share**0.6 - 0.01
    assert len(select_detections(pair, iou=between, kind="greedynms", image_size=(100, 10))) == 1
    assert len(select_detections(pair, iou=between, kind="greedynms", image_size=(10, 100))) == 2


@pytest.mark.parametrize("boxes", [0, 1])
def test_nothing_above_the_threshold_gives_no_rows(boxes):
    predictions = torch.zeros(boxes, 8)
    assert select_detections(predictions).shape == (0, 6)
    assert darknet_rows(predictions, conf=0.25, iou=0.45).shape == (0, 8)
    assert darknet_rows(predictions, conf=0.25, iou=0.45, gate="product").shape == (boxes, 8)


def test_boxes_that_are_no_boxes_are_dropped():
    good = [5.0, 5, 2, 2, 0.9, 0.9]
    bad = [[float("nan"), 5, 2, 2, 0.9, 0.9], [5, 5, float("inf"), 2, 0.9, 0.9], [5, 5, 2, 2, float("nan"), 0.9]]
    assert len(select_detections(np.array([*bad, good]))) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_tensor_of_any_precision_gives_a_float32_array(dtype):
    rows = select_detections(torch.tensor([[5, 5, 2, 2, 0.75, 1.0]], dtype=dtype, requires_grad=True))
    assert isinstance(rows, np.ndarray)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[4, 4, 6, 6, 0.75, 0]]


def test_only_the_surest_candidates_of_a_class_compete_where_that_is_asked():
    apart = np.array([[20.0 * i, 5, 2, 2, 1, 0.9 - i / 100] for i in range(10)])
    assert len(select_detections(apart, max_candidates=4)) == 4
    assert len(select_detections(apart, max_candidates=None)) == 10


def test_unknown_kinds_and_gates_are_refused():
    box = np.array([[5, 5, 2, 2, 1, 0.9]])
    with pytest.raises(OptionError, match="cornersnms"):
        select_detections(box, kind="cornersnms")
    with pytest.raises(OptionError, match="gate"):
        darknet_rows(box, conf=0.2, iou=None, gate="both")


def test_the_predictions_are_not_changed():
    predictions = torch.rand(50, 8) * 0.5 + 0.5
    before = predictions.clone()
    select_detections(predictions)
    darknet_rows(predictions, conf=0.25, iou=0.45, gate="product")
    assert torch.equal(predictions, before)


@pytest.mark.gpu
def test_a_gpu_selects_what_the_cpu_selects():
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    predictions = torch.rand(500, 9) * torch.tensor([300.0, 300, 60, 60, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(select_detections(predictions.cuda()), select_detections(predictions), rtol=1e-6)
