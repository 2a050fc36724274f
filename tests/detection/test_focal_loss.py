"""Cross-entropies: against their formulas, against Darknet's gradients, and where probabilities end."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from utils.detection.focal_loss import cross_entropy, darknet_focal_classes, darknet_focal_softmax, focal_modulation


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("weight", [1.0, 3.941])
def test_logits_and_their_probabilities_have_the_same_loss(weight):
    x, target = numbers(50), torch.rand(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = x.sigmoid()
    expected = -weight * target * p.log() - (1 - target) * (1 - p).log()
    torch.testing.assert_close(cross_entropy(x, target, positive_weight=weight), expected)
    torch.testing.assert_close(cross_entropy(p, target, form="probabilities", positive_weight=weight), expected)


def test_behind_a_logistic_the_gradient_of_a_probability_is_p_minus_t():
    x = numbers(50).mul(4).requires_grad_()
    target = (numbers(50, seed=1) > 0).double()
    cross_entropy(x.sigmoid(), target, form="probabilities").sum().backward()
    torch.testing.assert_close(x.grad, (x.sigmoid() - target).detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_probabilities_of_exactly_0_and_1_cost_something_finite(dtype):
    p = torch.tensor([0, 0, 1, 1], dtype=dtype)
    losses = cross_entropy(p, torch.tensor([0, 1, 0, 1]), form="probabilities")
    assert losses.dtype == torch.float32
    assert losses[0] == losses[3] == 0
    assert (losses[1:3] > 20).all()
    assert torch.isfinite(losses).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.5])
def test_modulation_follows_the_formula(gamma):
    for loss in (0.0, 1e-6, 0.3, 5.0):
        expected = loss * 0.25 * (1.000001 - math.exp(-loss)) ** gamma
        assert focal_modulation(torch.tensor([loss], dtype=torch.float64), gamma, 0.25).item() == pytest.approx(expected)


def test_modulation_makes_the_easy_easier_and_leaves_the_hard():
    easy, hard = focal_modulation(torch.tensor([0.01, 10.0]), 2.0)
    assert easy < 1e-5
    assert hard == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("form", ["logits", "probabilities"])
def test_the_gradient_of_focal_classes_is_darknets_delta(form):
    """delta_yolo_class: ((n == class) - p_n) * alpha * grad, grad = -(1 - pt) * (2 pt log(pt) + pt - 1)."""
    x = numbers(6, 4).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    darknet_focal_classes(x if form == "logits" else x.sigmoid(), labels, form=form).sum().backward()
    p = x.detach().sigmoid()
    for row, label in enumerate(labels.tolist()):
        pt = p[row, label].item()
        grad = -(1 - pt) * (2 * pt * math.log(pt) + pt - 1)
        delta = [((k == label) - p[row, k].item()) * 0.5 * grad for k in range(4)]
        assert (-x.grad[row]).tolist() == pytest.approx(delta)


def test_the_gradient_of_the_softmax_focal_is_darknets_delta():
    x = numbers(6, 4).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    darknet_focal_softmax(x, labels).sum().backward()
    p = x.detach().softmax(-1)
    pt = p.gather(1, labels[:, None])
    grad = -(1 - pt) * (2 * pt * pt.log() + pt - 1)
    torch.testing.assert_close(-x.grad, (F.one_hot(labels, 4) - p) * 0.5 * grad)


def test_no_positives_have_no_focal_loss():
    assert darknet_focal_classes(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)).shape == (0,)
