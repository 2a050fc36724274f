"""Decoding by hand-sized examples and closed formulas; `test_recorded_detections` holds it against Darknet."""

from __future__ import annotations

import math

import pytest
import torch

from utils.detection import decode_gaussian_yolo, decode_region, decode_yolo

ANCHORS = [(10.0, 14.0), (23.0, 27.0)]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def raw(entries: int, *, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(entries)
    return torch.randn(2, 2, 3, 4, entries, generator=generator, dtype=torch.float64).to(dtype)


def at(decoded: torch.Tensor, n: int, a: int, y: int, x: int) -> list[float]:
    """One box of a head with 3 rows and 4 columns: anchors first, then rows, then columns."""
    return decoded[n, (a * 3 + y) * 4 + x].tolist()


@pytest.mark.parametrize("scale_x_y", [1.0, 1.2, 2.0])
def test_a_classic_box_follows_the_formula(scale_x_y):
    t = raw(7)
    decoded = decode_yolo(t, anchors=ANCHORS, stride=(8, 16), scale_x_y=scale_x_y)
    assert decoded.shape == (2, 24, 7)
    tx, ty, tw, th, *scores = t[1, 1, 2, 3].tolist()
    extra = (scale_x_y - 1) / 2
    assert at(decoded, 1, 1, 2, 3) == pytest.approx(
        [(sigmoid(tx) * scale_x_y - extra + 3) * 8, (sigmoid(ty) * scale_x_y - extra + 2) * 16,
         math.exp(tw) * 23, math.exp(th) * 27, *map(sigmoid, scores)])


def test_new_coords_squash_nothing_and_square_the_size():
    p = raw(7).sigmoid()
    decoded = decode_yolo(p, anchors=ANCHORS, stride=(8, 16), scale_x_y=2.0, new_coords=True)
    px, py, pw, ph, *scores = p[0, 1, 1, 2].tolist()
    assert at(decoded, 0, 1, 1, 2) == pytest.approx(
        [(2 * px - 0.5 + 2) * 8, (2 * py - 0.5 + 1) * 16, (2 * pw) ** 2 * 23, (2 * ph) ** 2 * 27, *scores])


def test_a_gaussian_class_loses_the_mean_uncertainty():
    t = raw(11)
    decoded = decode_gaussian_yolo(t, anchors=ANCHORS, stride=(8, 16), scale_x_y=1.1)
    x, sx, y, sy, w, sw, h, sh, objectness, *classes = t[0, 0, 1, 2].tolist()
    certain = 1 - (sigmoid(sx) + sigmoid(sy) + sigmoid(sw) + sigmoid(sh)) / 4
    assert at(decoded, 0, 0, 1, 2) == pytest.approx(
        [(sigmoid(x) * 1.1 - 0.05 + 2) * 8, (sigmoid(y) * 1.1 - 0.05 + 1) * 16, math.exp(w) * 10, math.exp(h) * 14,
         sigmoid(objectness), *(sigmoid(c) * certain for c in classes)])


@pytest.mark.parametrize("softmax", [True, False])
def test_region_anchors_are_in_cells(softmax):
    t = raw(8)
    decoded = decode_region(t, anchors=[(1.0, 1.5), (2.0, 3.0)], stride=(8, 16), softmax=softmax)
    tx, ty, tw, th, objectness, *classes = t[1, 1, 0, 3].tolist()
    if softmax:
        total = sum(map(math.exp, classes))
        classes = [math.exp(c) / total for c in classes]
    assert at(decoded, 1, 1, 0, 3) == pytest.approx(
        [(sigmoid(tx) + 3) * 8, sigmoid(ty) * 16, math.exp(tw) * 2 * 8, math.exp(th) * 3 * 16, sigmoid(objectness),
         *classes])


HEADS = {
    "yolo": lambda t: decode_yolo(t[..., :7], anchors=ANCHORS, stride=(8, 16), scale_x_y=1.1),
    "gaussian": lambda t: decode_gaussian_yolo(t, anchors=ANCHORS, stride=(8, 16)),
    "region": lambda t: decode_region(t[..., :7], anchors=ANCHORS, stride=(8, 16)),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_decoded_as_float32(head, dtype):
    t = raw(11, dtype=dtype)
    decoded = HEADS[head](t)
    assert decoded.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(decoded.double(), HEADS[head](t.double()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_decoding_leaves_its_input_alone_and_lets_gradients_through(head):
    t = raw(11).requires_grad_()
    before = t.detach().clone()
    HEADS[head](t).sum().backward()
    assert torch.equal(t, before)
    assert torch.isfinite(t.grad).all()
    used = t.grad if head == "gaussian" else t.grad[..., :5]
    assert (used != 0).any(dim=(0, 1, 2, 3)).all()


@pytest.mark.parametrize("head", HEADS)
def test_absurd_numbers_give_no_infinite_box_and_no_infinite_area(head):
    decoded = HEADS[head](torch.full((1, 2, 3, 4, 11), 1e4))
    assert torch.isfinite(decoded).all()
    assert torch.isfinite(decoded[..., 2] * decoded[..., 3]).all()


@pytest.mark.parametrize("head", HEADS)
def test_a_head_with_other_anchors_is_refused(head):
    with pytest.raises(ValueError, match=r"\(1, 1, 3, 4, 11\)|\(1, 1, 3, 4, 7\)"):
        HEADS[head](torch.zeros(1, 1, 3, 4, 11))


@pytest.mark.gpu
@pytest.mark.parametrize("head", HEADS)
def test_a_gpu_decodes_as_the_cpu_does(head):
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    t = raw(11, dtype=torch.float32)
    decoded = HEADS[head](t.cuda())
    assert decoded.is_cuda
    torch.testing.assert_close(decoded.cpu(), HEADS[head](t), rtol=1e-5, atol=1e-5)
