"""Activations in torch against their numpy statement, at Darknet's thresholds, and with gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from utils.darknet import ACTIVATIONS as IN_NUMPY
from utils.layers import ACTIVATIONS, Activate, missing_on_cpu

# Thresholds of the piecewise functions and of softplus, and what lies far outside.
POINTS = [-120.0, -89.0, -25.0, -20.0, -4.5, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 3.5,
          4.0, 5.0, 6.0, 6.5, 20.0, 25.0, 80.0]


def points() -> torch.Tensor:
    """All points as pixels of one channel, plus three channels of noise: (1, 4, 26, 1)."""
    noise = torch.randn(3, len(POINTS), generator=torch.Generator().manual_seed(0)) * 3
    return torch.cat((torch.tensor(POINTS)[None], noise))[None, :, :, None]


def test_both_tables_know_the_same_names():
    assert set(ACTIVATIONS) == set(IN_NUMPY)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_torch_and_numpy_agree_in_double_precision(name):
    x = points().double()
    if name == "normalize_channels_softmax":
        x = x.clamp(-50, 50)  # exp overflows beyond; Darknet subtracts no maximum here either
    expected = IN_NUMPY[name].function(x[0].numpy())
    np.testing.assert_allclose(ACTIVATIONS[name](x)[0].numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_overwriting_the_input_changes_no_value(name, layout):
    x = points().clamp(-50, 50).contiguous(memory_format=layout)
    expected = ACTIVATIONS[name](x.clone())
    torch.testing.assert_close(Activate(name)(x.clone()), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_keep_input_leaves_the_input_alone(name):
    x = points().clamp(-50, 50)
    before = x.clone()
    Activate(name, keep_input=True)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"stair"}))  # stair's slope jumps everywhere
def test_gradients_are_right_although_the_map_is_overwritten(name):
    x = (torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.double) * 4 - 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: Activate(name)(v * 1.0), (x,))


@pytest.mark.parametrize("kind", ["convolutional", "shortcut", "activation", "scale_channels", "sam", "connected"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_darknet_cpu_gives_zeros_exactly_where_the_cpu_build_lacks_a_case(kind, name):
    x = points().clamp(0.5, 5)
    zero = not Activate(name, kind, darknet_cpu=True, keep_input=True)(x).any()
    assert zero == (name in missing_on_cpu(kind))
    assert Activate(name, kind, keep_input=True)(x).any()


def test_relu6_is_missing_everywhere_and_mish_only_outside_convolutions_and_shortcuts():
    assert all("relu6" in missing_on_cpu(kind) for kind in ("convolutional", "shortcut", "activation", "sam"))
    assert [kind for kind in ("convolutional", "shortcut", "activation", "sam", "scale_channels")
            if "mish" in missing_on_cpu(kind)] == ["activation", "sam", "scale_channels"]
    assert "hard_mish" in missing_on_cpu("shortcut")


def test_half_precision_mish_does_not_overflow():
    x = torch.tensor([[[[-30.0, 0.0, 8.0, 30.0]]]], dtype=torch.float16)
    assert torch.isfinite(Activate("mish")(x)).all()


def test_a_logistic_stays_in_float32_under_autocast_and_follows_its_input_elsewhere():
    """A new_coords head is trained on the logarithm of it."""
    x = torch.tensor([[[[-12.0, 9.0]]]], dtype=torch.bfloat16, requires_grad=True) * 1
    with torch.autocast("cpu", torch.bfloat16):
        inside = Activate("logistic")(x)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, x.detach().float().sigmoid())
    assert Activate("logistic")(x.detach().clone()).dtype == torch.bfloat16
