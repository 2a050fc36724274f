"""A convolution that skips missing places against torch's own of the map with zeros in their place."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from utils.distillation.masked_convolution import masked_convolution


@pytest.mark.parametrize("masked", [0.0, 0.65, 1.0])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (6, 5)])
def test_it_gives_the_numbers_and_gradients_of_a_convolution_of_the_masked_map(masked, memory_format, shape):
    draw = torch.Generator().manual_seed(1)
    maps = torch.randn(3, 4, *shape, generator=draw, dtype=torch.float64).contiguous(memory_format=memory_format)
    stays = torch.rand(3, 1, *shape, generator=draw) > masked
    wanted = torch.randn(3, 7, *shape, generator=draw, dtype=torch.float64)
    reference = nn.Conv2d(4, 7, 3, padding=1).double()
    layer = copy.deepcopy(reference).to(memory_format=memory_format)
    results = []
    for run in (lambda one: masked_convolution(layer, one, stays), lambda one: reference(one * stays)):
        given = maps.clone(memory_format=torch.preserve_format).requires_grad_()
        made = run(given)
        (made - wanted).square().sum().backward()
        results.append((made.detach(), given.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(layer.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_under_autocast_its_sums_are_in_full_precision_and_as_near_as_those_of_a_convolution():
    torch.manual_seed(0)
    layer, maps, stays = nn.Conv2d(32, 32, 3, padding=1), torch.randn(2, 32, 9, 9), torch.rand(2, 1, 9, 9) > 0.5
    exact = layer(maps * stays)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = masked_convolution(layer, maps, stays), layer(maps * stays)
    assert ours.dtype == torch.float32
    assert (ours - exact).square().mean() < 2 * (theirs.float() - exact).square().mean()


def test_two_runs_give_the_same_bits():
    torch.manual_seed(0)
    layer, maps, stays = nn.Conv2d(16, 16, 3, padding=1), torch.randn(4, 16, 13, 13), torch.rand(4, 1, 13, 13) > 0.5
    assert torch.equal(masked_convolution(layer, maps, stays), masked_convolution(layer, maps, stays))


def test_on_other_devices_the_map_is_convolved_as_a_whole():
    """No device is at hand in every test run; "meta" computes shapes only, and has no places to count."""
    layer = nn.Conv2d(4, 7, 3, padding=1, device="meta")
    maps, stays = torch.empty(2, 4, 5, 6, device="meta"), torch.empty(2, 1, 5, 6, dtype=torch.bool, device="meta")
    assert masked_convolution(layer, maps, stays).shape == (2, 7, 5, 6)
