"""Mimic, MGD and CWD against plain formulas; what they are where the maps agree; and whom their gradients reach."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.distillation import slow_losses
from utils.distillation import ChannelWise, MaskedGeneration, Mimic, near_objects


def maps(channels: int = 3, seed: int = 0, images: int = 2) -> torch.Tensor:
    return torch.randn(images, channels, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_mimic_is_the_mean_squared_difference_behind_a_1x1_convolution():
    loss = Mimic(2, 3).double()
    student, teacher = maps(2, 1), maps(3, 2)
    weight, bias = loss.adaptor.weight[:, :, 0, 0], loss.adaptor.bias
    made = torch.einsum("oc,nchw->nohw", weight, student) + bias[None, :, None, None]
    expected = sum((a - b) ** 2 for a, b in zip(made.flatten().tolist(), teacher.flatten().tolist(), strict=True))
    assert loss.loss(loss(student), teacher).item() == pytest.approx(expected / teacher.numel(), rel=1e-6)


def test_mimic_near_objects_counts_only_those_places():
    loss = Mimic(3, 3, adapt=False)
    student, teacher = maps(3, 1).float(), maps(3, 2).float()
    near = torch.zeros(2, 4, 5)
    near[1, 2, 3], near[0, 0, 0] = 2, 1
    squares = (student - teacher).square().sum(1)
    expected = (2 * squares[1, 2, 3] + squares[0, 0, 0]) / (2 * 3)
    torch.testing.assert_close(loss.loss(student, teacher, near), expected)
    assert loss.loss(student, teacher, torch.zeros(2, 4, 5)).item() == 0


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_channel_wise_is_the_divergence_of_channels_over_places(temperature):
    loss = ChannelWise(3, 3, temperature=temperature)
    student, teacher = maps(3, 1), maps(3, 2)
    expected = slow_losses.channel_wise(student.flatten(2).tolist(), teacher.flatten(2).tolist(), temperature)
    assert loss.loss(loss(student), teacher).item() == pytest.approx(expected, rel=1e-5)


def test_channel_wise_does_not_see_a_shift_of_a_channel_and_survives_large_maps():
    loss = ChannelWise(3, 3)
    teacher = maps(3, 2)
    assert loss.loss(teacher + torch.tensor([1.0, -7.0, 30.0]).view(1, 3, 1, 1), teacher).item() == pytest.approx(0, abs=1e-6)
    assert loss.loss(maps(3, 1) * 1e4, teacher * 1e4).isfinite()


def test_masked_generation_makes_the_teachers_map_from_what_is_left():
    loss = MaskedGeneration(2, 3, masked=0.65)
    student, teacher = maps(2, 1).float(), maps(3, 2).float()
    torch.manual_seed(5)
    made = loss(student)
    torch.manual_seed(5)
    left = (torch.rand(2, 1, 4, 5) <= 1 - 0.65).float()
    aligned = nn.functional.conv2d(student, loss.adaptor.weight, loss.adaptor.bias) * left
    first, second = loss.generation[0], loss.generation[2]
    hidden = nn.functional.conv2d(aligned, first.weight, first.bias, padding=1).relu()
    expected = nn.functional.conv2d(hidden, second.weight, second.bias, padding=1)
    torch.testing.assert_close(made, expected)
    assert loss.loss(made, teacher).item() == pytest.approx(((expected - teacher) ** 2).sum().item() / 2, rel=1e-5)


@pytest.mark.parametrize("masked", [0.0, 0.65, 1.0])
def test_masked_generation_masks_that_share_of_the_places_in_all_channels_at_once(masked):
    loss = MaskedGeneration(4, 4, masked=masked)
    for layer in (loss.generation[0], loss.generation[2]):
        nn.init.dirac_(layer.weight)  # each channel as it is
        nn.init.zeros_(layer.bias)
    made = loss(torch.ones(8, 4, 40, 40))
    assert set(made.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(made, made[:, :1].expand_as(made))
    assert made.mean().item() == pytest.approx(1 - masked, abs=0.02)


def test_what_is_left_where_the_maps_agree():
    teacher = maps(3, 2).float()
    for loss in (Mimic(3, 3, adapt=False), ChannelWise(3, 3)):
        assert loss.loss(loss(teacher), teacher).item() == pytest.approx(0, abs=1e-7)
    assert MaskedGeneration(3, 3).loss(MaskedGeneration(3, 3)(teacher), teacher).item() > 0, "its generation is random"


@pytest.mark.parametrize("make", [Mimic, MaskedGeneration, ChannelWise])
def test_gradients_reach_the_student_and_the_adaptors_only(make):
    loss, student, teacher = make(2, 3), maps(2, 1).float().requires_grad_(), maps(3, 2).float().requires_grad_()
    loss.loss(loss(student), teacher).backward()
    assert student.grad.any()
    assert all(parameter.grad.any() for parameter in loss.parameters())
    assert len(list(loss.parameters())) >= 2
    assert teacher.grad is None


@pytest.mark.parametrize(("make", "same"), [(Mimic, True), (MaskedGeneration, False), (ChannelWise, False)])
def test_an_adaptor_is_learned_where_widths_differ_and_for_mimic_always(make, same):
    assert isinstance(make(2, 3).adaptor, nn.Conv2d)
    assert isinstance(make(3, 3).adaptor, nn.Conv2d) == same
    assert isinstance(make(3, 3, adapt=False).adaptor, nn.Identity)
    with pytest.raises(ValueError, match="2 channels of the student cannot be compared with 3"):
        make(2, 3, adapt=False)


@pytest.mark.parametrize("make", [Mimic, MaskedGeneration, ChannelWise])
def test_half_precision_is_compared_in_float32(make):
    """65504 is the largest float16: sums of squares pass it at once."""
    made, teacher = torch.full((2, 3, 8, 8), 300.0, dtype=torch.float16), torch.zeros(2, 3, 8, 8)
    found = make(3, 3).loss(made, teacher)
    assert found.dtype == torch.float32
    assert found.isfinite()


def slow_near(targets, anchors, images, grid):
    """From the definition: every place, every anchor, every object."""
    counts = torch.zeros(images, *grid)
    for image, _, xc, yc, w, h in targets.tolist():
        best = {}
        for y in range(grid[0]):
            for x in range(grid[1]):
                best[y, x] = max(iou(((x + 0.5) / grid[1], (y + 0.5) / grid[0], *anchor), (xc, yc, w, h)) for anchor in anchors)
        for (y, x), value in best.items():
            counts[int(image), y, x] += value > 0.5 * max(best.values())
    return counts


def iou(a, b):
    wide = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    high = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    common = max(wide, 0) * max(high, 0)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def test_places_near_objects_are_those_whose_anchors_overlap_half_as_well_as_the_best():
    targets = torch.tensor([[0, 1, .3, .4, .2, .3], [1, 0, .5, .5, .6, .6], [1, 2, .52, .5, .1, .1], [1, 0, .9, .1, .15, .2]])
    anchors = [(0.1, 0.15), (0.4, 0.3)]
    found = near_objects(targets, torch.tensor(anchors), 3, (5, 7))
    expected = slow_near(targets, anchors, 3, (5, 7))
    torch.testing.assert_close(found, expected)
    assert not found[2].any()
    assert found[1].max() == 2, "near both objects"


def test_no_objects_are_near_nothing():
    assert not near_objects(torch.zeros(0, 6), torch.tensor([(0.1, 0.1)]), 2, (3, 3)).any()
