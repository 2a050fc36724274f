"""The IoU family: closed cases, plain formulas, finite differences, and boxes that are no boxes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detection.slow_loss import similarity
from utils.detection import box_loss, iou_family, pairwise_iou, xywh_to_xyxy
from utils.detection.iou_loss import IOU_KINDS

SIDE = st.floats(0.1, 20)
BOX = st.tuples(st.floats(-10, 10), st.floats(-10, 10), SIDE, SIDE)
TALL = 4 / math.pi ** 2 * (math.atan(0.5) - math.atan(2)) ** 2

CLOSED = {  # predicted, truth: iou, giou, diou, ciou
    "equal": ((1, 2, 3, 4), (1, 2, 3, 4), 1, 1, 1, 1),
    "half a side apart": ((1, 1, 2, 2), (2, 2, 2, 2), 1 / 7, 1 / 7 - 2 / 9, 1 / 7 - 2 / 18, 1 / 7 - 2 / 18),
    "touching": ((1, 1, 2, 2), (3, 1, 2, 2), 0, 0, -4 / 20, -4 / 20),
    "apart": ((0, 0, 2, 2), (4, 0, 2, 2), 0, -4 / 12, -16 / 40, -16 / 40),
    "inside": ((0, 0, 2, 2), (0, 0, 4, 4), 1 / 4, 1 / 4, 1 / 4, 1 / 4),
    "lying on standing": ((0, 0, 2, 1), (0, 0, 1, 2), 1 / 3, 1 / 3 - 1 / 4, 1 / 3,
                          1 / 3 - TALL ** 2 / (TALL + 2 / 3)),
}


def boxes(*rows) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("case", CLOSED)
def test_closed_cases(case):
    pred, truth, *expected = CLOSED[case]
    got = [iou_family(boxes(pred), boxes(truth), kind).item() for kind in IOU_KINDS]
    assert got == pytest.approx(expected, abs=1e-6)


@settings(max_examples=40)
@given(st.lists(st.tuples(BOX, BOX), min_size=1, max_size=5))
def test_the_family_follows_the_formulas(pairs):
    pred, truth = boxes(*(p for p, _ in pairs)), boxes(*(t for _, t in pairs))
    for kind in IOU_KINDS:
        expected = [similarity(p, t, kind) for p, t in pairs]
        assert iou_family(pred, truth, kind).tolist() == pytest.approx(expected, abs=1e-9)
        assert box_loss(pred, truth, kind).tolist() == pytest.approx([1 - one for one in expected], abs=1e-9)
    evaluated = pairwise_iou(xywh_to_xyxy(pred), xywh_to_xyxy(truth)).diagonal()
    torch.testing.assert_close(iou_family(pred, truth, "iou"), evaluated)


@settings(max_examples=40)
@given(BOX, BOX)
def test_each_measure_is_at_most_the_one_before_it_and_none_beats_equality(pred, truth):
    iou, giou, diou, ciou = (iou_family(boxes(pred), boxes(truth), kind).item() for kind in IOU_KINDS)
    assert -1 - 1e-9 <= giou <= iou + 1e-9
    assert ciou <= diou + 1e-9
    assert -1 <= diou <= iou <= 1 + 1e-9


def sample() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    pred, truth = torch.rand(2, 12, 4, generator=generator, dtype=torch.float64) * 3
    pred[:, 2:] += 0.5
    truth[:, 2:] += 0.5
    return pred, truth


@pytest.mark.parametrize("kind", ["iou", "giou", "diou"])
def test_gradients_are_finite_differences(kind):
    pred, truth = sample()
    assert torch.autograd.gradcheck(lambda p: iou_family(p, truth, kind), pred.requires_grad_())


def test_the_gradient_of_ciou_holds_alpha_constant():
    pred, truth = sample()
    pred.requires_grad_()
    iou_family(pred, truth, "ciou").sum().backward()

    def v(p):
        return 4 / math.pi ** 2 * (torch.atan(truth[:, 2] / truth[:, 3]) - torch.atan(p[:, 2] / p[:, 3])) ** 2

    with torch.no_grad():
        alpha = v(pred) / (v(pred) - iou_family(pred, truth, "iou") + 1 + 1e-7)
        for row in range(len(pred)):
            for column in range(4):
                step = torch.zeros_like(pred)
                step[row, column] = 1e-6
                up, down = ((iou_family(p, truth, "diou") - alpha * v(p))[row] for p in (pred + step, pred - step))
                assert pred.grad[row, column].item() == pytest.approx(((up - down) / 2e-6).item(), abs=1e-6)


@pytest.mark.parametrize("kind", IOU_KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_boxes_without_a_side_give_finite_values_and_gradients(kind, dtype):
    degenerate = torch.tensor([(0, 0, 0, 0), (0, 0, 0, 2), (0, 0, 2, 0), (1, 1, 1, 1), (0, 0, 1e9, 1e9)], dtype=dtype)
    pred = degenerate.repeat_interleave(5, dim=0).requires_grad_()
    values = iou_family(pred, degenerate.repeat(5, 1), kind)
    values.sum().backward()
    assert torch.isfinite(values).all()
    assert torch.isfinite(pred.grad).all()


def test_a_box_without_area_overlaps_nothing():
    assert iou_family(boxes((1, 1, 0, 0)), boxes((1, 1, 0, 0)), "iou").item() == 0


def test_no_boxes_give_no_values():
    assert iou_family(torch.zeros(0, 4), torch.zeros(0, 4), "ciou").shape == (0,)


@pytest.mark.parametrize(("pred", "truth", "kind"), [
    (torch.zeros(2, 4), torch.zeros(3, 4), "iou"),
    (torch.zeros(2, 5), torch.zeros(2, 5), "iou"),
    (torch.zeros(2, 4), torch.zeros(2, 4), "mse"),
], ids=["lengths", "columns", "kind"])
def test_what_does_not_fit_is_refused(pred, truth, kind):
    with pytest.raises(ValueError, match=r"must both be \(n, 4\)|use one of iou, giou"):
        iou_family(pred, truth, kind)
