"""Surviving channels against the weights themselves: whoever survives still has its gamma."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cfg_text import cfg, convolution, net, output, section, shortcut, yolo
from tests.distillation.networks import HEAD_MAPS, network
from utils.darknet import initial_weights, parse_network, with_classes
from utils.distillation import DOUBTFUL, LayerPair, resemblance, surviving_channels
from utils.errors import PlanError
from utils.pruning import Keep, Plan, apply_plan, layer_channel_plan, layer_plan, slim_plan

BLOCK = (convolution(4), convolution(8), shortcut(-3))


def detector(*sections: str):
    """Sections between an image of 32x32 and a head."""
    return parse_network(cfg(net(32), *sections, output(14), yolo("8,8, 16,16")))


def with_gammas(one, seed=0):
    """Weights whose gammas are all different, and betas that are worth a carrier."""
    weights, draw = initial_weights(one, seed), np.random.default_rng(seed)
    changes = {}
    for layer, arrays in zip(one.layers, weights.layers, strict=True):
        if "gamma" in arrays:
            gamma = draw.permutation(np.linspace(0.01, 1, len(arrays["gamma"]))).astype(np.float32)
            changes[layer.index] = {**arrays, "gamma": gamma, "beta": draw.normal(0, 1, len(gamma)).astype(np.float32)}
    return weights.with_layers(changes)


@pytest.mark.parametrize("fold", ["beta", "exact"])
def test_the_channels_that_are_compared_are_the_same_filters(fold):
    teacher = network(12)
    weights = with_gammas(teacher)
    plan = slim_plan(teacher, weights, 0.4)
    student, cut = apply_plan(teacher, weights, plan, fold)
    pairs = [LayerPair(layer, layer) for layer in (0, 1, *HEAD_MAPS)]
    for pair, (ours, theirs) in zip(pairs, surviving_channels(plan, teacher, weights, student, pairs), strict=True):
        assert len(ours) == len(theirs) < 12
        for layer in ({0, 1} if pair.teacher == 2 else {pair.teacher}):  # the shortcut ties both
            np.testing.assert_array_equal(cut.layers[layer]["gamma"][ours], weights.layers[layer]["gamma"][theirs])
        left_out = np.setdiff1d(np.arange(student.layers[pair.student].shape.channels), ours)
        assert all(cut.layers[layer]["gamma"][left_out].any() == 0 for layer in ({0} if pair.teacher == 2 else {pair.teacher})
                   if len(left_out)), "carriers are constants"
    if fold == "exact":
        assert any(len(ours) < student.layers[pair.student].shape.channels
                   for pair, (ours, _) in zip(pairs, surviving_channels(plan, teacher, weights, student, pairs), strict=True))


def test_layers_behind_a_block_that_went_have_another_number_in_the_student():
    teacher = detector(convolution(8, stride=4), *BLOCK, *BLOCK, convolution(10))
    weights = with_gammas(teacher)
    plan = layer_channel_plan(teacher, weights, 1, 0.3)
    student, cut = apply_plan(teacher, weights, plan, "beta")
    last = 7
    assert teacher.layers[last].shape.channels == 10
    (ours, theirs), = surviving_channels(plan, teacher, weights, student, [LayerPair(last - 3, last)])
    np.testing.assert_array_equal(cut.layers[last - 3]["gamma"][ours], weights.layers[last]["gamma"][theirs])


def test_a_spare_channel_in_a_route_moves_no_channel_behind_it():
    """Only a block goes, so that a spare channel is made for its constant; the teacher has none."""
    teacher = detector(convolution(8, stride=4), *BLOCK, convolution(6), section("route", layers="3,4"), convolution(6))
    weights = with_gammas(teacher)
    plan = layer_plan(teacher, weights, 1)
    student, _ = apply_plan(teacher, weights, plan, "exact")
    assert student.layers[2].shape.channels == 15
    (ours, theirs), = surviving_channels(plan, teacher, weights, student, [LayerPair(2, 5)])
    np.testing.assert_array_equal(theirs, np.arange(14))
    np.testing.assert_array_equal(ours, [*range(8), *range(9, 15)])


def test_a_layer_behind_an_adder_is_found():
    """The block becomes one layer that is compared as its sum; the spare channel of the first stage moves nothing."""
    teacher = detector(convolution(8, stride=4), *BLOCK, convolution(8), *BLOCK, convolution(8, groups=8), convolution(10))
    weights = with_gammas(teacher)
    plan = layer_channel_plan(teacher, weights, 2, 0.3)
    student, cut = apply_plan(teacher, weights, plan, "exact")
    assert [layer.kind for layer in student.layers[:4]] == ["convolutional"] * 4
    adder, last = student.layers[2], student.layers[4]
    assert adder.shape.channels == adder.options.groups
    behind = LayerPair(last.index, teacher.layers[-3].index)
    summed = LayerPair(adder.index, 7)
    for pair, (ours, theirs) in zip((behind, summed), surviving_channels(plan, teacher, weights, student, (behind, summed)),
                                    strict=True):
        made_by = (last.index, behind.teacher) if pair is behind else (1, 4)  # what the sum adds to
        np.testing.assert_array_equal(cut.layers[made_by[0]]["gamma"][ours], weights.layers[made_by[1]]["gamma"][theirs])


def test_a_student_that_the_plan_did_not_make():
    teacher = network(12)
    weights = with_gammas(teacher)
    with pytest.raises(PlanError, match="layer 2 has 20 channels, and the plan leaves"):
        surviving_channels(slim_plan(teacher, weights, 0.6), teacher, weights, network(20), [LayerPair(2, 2)])


def other_network(change):
    """The teacher of 12 channels with something else in it that leaves all widths as they are."""
    return parse_network(network(12).document.to_bytes().decode().replace(*change, 1))


def test_a_plan_of_another_network_with_the_same_widths():
    teacher, weights = network(12), with_gammas(network(12))
    other = other_network(("activation=leaky", "activation=mish"))
    with pytest.raises(PlanError, match="is not the network that this plan was made for"):
        surviving_channels(slim_plan(other, weights, 0.4), teacher, weights, teacher, [LayerPair(2, 2)])


@pytest.mark.parametrize(("change", "said"), [
    (("activation=leaky", "activation=mish"),
     r"layer 0 \(.*:6\) .*it is \[convolutional\] activation=mish, and the plan leaves \[convolutional\] activation=leaky"),
    (("from=-2", "from=-2\nweights_type=per_channel\nweights_normalization=relu"),
     "layer 2 .*it is .shortcut. weights_type=per_channel"),
    (("layers=2", "layers=1"), "layer 5 .*it is a \\[route\\] of layer 1, and the plan leaves a \\[route\\] of layer 2"),
    (("[shortcut]\nfrom=-2\nactivation=linear", "[dropout]"), r"layer 2 .*it is \[dropout\], and the plan leaves \[shortcut\]"),
    (("[route]\nlayers=2\n", "[route]\nlayers=2\n\n[dropout]\n"), "has 10 layers, and the plan leaves .* 9"),
])
def test_a_student_of_the_right_widths_that_the_plan_could_not_make(change, said):
    teacher, weights = network(12), with_gammas(network(12))
    with pytest.raises(PlanError, match=said):
        surviving_channels(slim_plan(teacher, weights, 0.4), teacher, weights, other_network(change), [LayerPair(1, 1)])


def test_a_student_for_other_classes_is_one_that_the_plan_made():
    teacher, weights = network(12), with_gammas(network(12))
    plan = slim_plan(teacher, weights, 0.4)
    student = with_classes(apply_plan(teacher, weights, plan)[0], 5)
    (ours, _), = surviving_channels(plan, teacher, weights, student, [LayerPair(2, 2)])
    assert len(ours) == student.layers[2].shape.channels


@pytest.mark.parametrize("fold", ["beta", "exact"])
def test_filters_tell_the_plan_that_made_a_student_from_one_that_keeps_equally_many_others(fold):
    teacher, weights = network(12), with_gammas(network(12))
    plan = slim_plan(teacher, weights, 0.6)
    other = Plan("another", {}, plan.fingerprint, {layer: Keep(keep.filters, tuple(sorted(
        (channel + 5) % keep.filters for channel in keep.channels))) for layer, keep in plan.keep.items()})
    student, cut = apply_plan(teacher, weights, plan, fold)
    assert resemblance(plan, teacher, weights, student, cut) == pytest.approx(1)
    assert resemblance(other, teacher, weights, student, cut) < DOUBTFUL
    stranger = initial_weights(student, 9)
    assert abs(resemblance(plan, teacher, weights, student, stranger)) < 0.2
    scaled = {index: {**arrays, "weight": arrays["weight"] * 3} for index, arrays in enumerate(cut.layers) if "weight" in arrays}
    assert resemblance(plan, teacher, weights, student, cut.with_layers(scaled)) == pytest.approx(1)


def test_filters_of_other_widths_than_any_fold_makes_are_not_compared():
    teacher, weights = network(12), with_gammas(network(12))
    wider = network(13)
    assert resemblance(slim_plan(teacher, weights, 0.4), teacher, weights, wider, initial_weights(wider, 0)) is None
