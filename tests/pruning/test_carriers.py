"""Carriers: with `--fold exact` the compact network is the masked one at every pixel, borders included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.generators import BLOCKS, pruning_cases, random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import forward, heads, random_image
from tests.pruning.test_groups import conv
from tests.pruning.test_offset import plan_without
from utils.darknet import Network, Weights
from utils.pruning import Plan, apply_plan, carried_out, masked_weights, residual_blocks
from utils.pruning.selection import chosen_blocks, removed_layers


def difference(network: Network, weights: Weights, plan: Plan, fold: str = "exact") -> float:
    """The largest difference of what enters a head, in units of the masked network's range."""
    x = random_image(network)
    masked = heads(network, masked_weights(network, weights, plan), x)
    compact = heads(*apply_plan(network, weights, plan, fold), x)
    return max(float(np.abs(a - b).max() / max(1.0, np.ptp(a))) for a, b in zip(masked, compact, strict=True))


@settings(max_examples=50)
@given(pruning_cases())
def test_the_compact_network_equals_the_masked_one_at_every_pixel(case):
    network, weights, plan = case
    assert not carried_out(network, weights, plan, "exact").approximate_layers
    assert difference(network, weights, plan) < 1e-5


def test_one_carrier_serves_a_chain_of_shortcuts_and_its_border_is_exact():
    body = (conv(8, 3) + conv(8, 3) + "[shortcut]; from=-2; activation=linear; " + conv(8, 3)
            + "[shortcut]; from=-2; activation=linear; " + conv(5, 3) + conv(4, 3))
    network = small_network(body)
    weights = random_weights(network, 3)
    plan = plan_without(network, {i: (1, 2, 5) for i in (0, 1, 3)})
    assert difference(network, weights, plan, "beta") > 1e-2
    assert difference(network, weights, plan) < 1e-6
    worked_out = carried_out(network, weights, plan, "exact")
    assert worked_out.blank.sum() == 1
    assert apply_plan(network, weights, plan, "exact")[0].layers[0].shape.channels == 6


def test_where_nothing_pads_no_carrier_is_needed():
    network = small_network(conv(8, 1) + conv(6, 1) + conv(4, 1))
    plan = plan_without(network, {0: (1, 2), 1: (0,)})
    assert not carried_out(network, random_weights(network, 1), plan, "exact").blank.any()


@pytest.mark.parametrize("fold", ["none", "beta", "mean", "exact", "exact-mean"])
def test_a_plan_that_keeps_everything_changes_nothing(fold):
    network = small_network(conv(8, 3) + conv(6, 3))
    weights = random_weights(network, 2)
    smaller, same = apply_plan(network, weights, plan_without(network, {}), fold)
    assert smaller.document == network.document
    assert all(a is b for old, new in zip(weights.layers, same.layers, strict=True)
               for a, b in zip(old.values(), new.values(), strict=True))


def test_cut_again_a_carrier_hands_its_constant_on():
    network = small_network(conv(8, 3) + conv(6, 3) + conv(4, 3))
    weights = random_weights(network, 5)
    first, once = apply_plan(network, weights, plan_without(network, {0: (1, 2)}), "exact")
    carrier = 1  # channel 1 of layer 0 stayed as a constant
    assert once.layers[0]["gamma"][carrier] == 0
    second, twice = apply_plan(first, once, plan_without(first, {0: (carrier, 3)}), "exact")
    both = plan_without(network, {0: (1, 2, 4)})
    x = random_image(network)
    expected = heads(network, masked_weights(network, weights, both), x)[0]
    np.testing.assert_allclose(forward(second, twice, x)[second.heads[0].index], expected, atol=1e-5)


@settings(max_examples=40)
@given(pruning_cases(blocks=("residual",) * 6 + tuple(BLOCKS), activations=("linear",) * 6 + ("leaky", "mish", "logistic")), st.data())
def test_blocks_that_go_are_as_exact_as_channels(case, data):
    network, weights, plan = case
    blocks = [block.shortcut for block in residual_blocks(network)]
    assume(blocks)
    chosen = data.draw(st.sets(st.sampled_from(blocks), min_size=1))
    gone = removed_layers(chosen_blocks(network, chosen))
    keep = {i: k for i, k in plan.keep.items() if i not in gone} if data.draw(st.booleans()) else {}
    both = Plan(plan.strategy, {}, plan.fingerprint, keep, tuple(chosen))
    assert not carried_out(network, weights, both, "exact").approximate_layers
    assert difference(network, weights, both) < 1e-5


@pytest.mark.parametrize(("body", "cut"), [
    (conv(8, 3) + conv(8, 3) + "antialiasing=1; stride=2; " + conv(4, 3), {1: (1, 3)}),
    (conv(8, 3) + conv(8, 3) + "antialiasing=1; stride=2; " + conv(4, 1), {1: (1, 3)}),
    (conv(8, 3) + "[maxpool]; size=2; stride=2; antialiasing=1; " + conv(6, 3) + conv(4, 3), {0: (1, 3), 2: (0, 2)}),
    (conv(8, 3) + "antialiasing=1; stride=2; " + conv(8, 1, groups=8).replace("leaky", "relu") + conv(4, 3), {0: (1, 3), 1: (1, 3)}),
    (conv(8, 3).replace("leaky", "linear") + "[batchnorm]; [activation]; activation=relu; " + conv(4, 3), {0: (1,)}),
])
def test_channels_that_nothing_can_carry_keep_their_own_constants(body, cut):
    """Behind a blur that pads a carrier is no constant at the border, and a relu makes 0 of one that a [batchnorm] turned."""
    network = small_network(body)
    weights, plan = random_weights(network, 1), plan_without(network, cut)
    if network.layers[1].kind == "batchnorm":
        weights.layers[0]["beta"][1] = -3
        for name, value in (("gamma", -1), ("beta", 0), ("mean", 0)):
            weights.layers[1][name][1] = value
    worked_out = carried_out(network, weights, plan, "exact")
    assert worked_out.own.any()
    assert worked_out.approximate_layers == ()
    assert difference(network, weights, plan) < 1e-6
    assert difference(network, weights, plan, "beta") > 1e-3
    assert not carried_out(network, weights, plan, "exact-mean").own.any()


def test_a_padded_depthwise_convolution_makes_a_constant_of_what_faded_at_the_border():
    """In the masked network it emits at every pixel what it emits inside the map, so a carrier can stand for it again."""
    network = small_network(conv(8, 3) + conv(8, 3) + "antialiasing=1; stride=2; " + conv(8, 3, groups=8) + conv(4, 3))
    weights, plan = random_weights(network, 1), plan_without(network, {1: (1, 3), 2: (1, 3)})
    worked_out = carried_out(network, weights, plan, "exact")
    assert (worked_out.own.sum(), worked_out.blank.sum(), worked_out.approximate_layers) == (0, 1, ())
    assert difference(network, weights, plan) < 1e-6


def test_when_only_blocks_go_a_spare_channel_is_made_for_the_carrier():
    body = conv(6, 3) + conv(4, 1) + conv(6, 3) + "[shortcut]; from=-3; activation=linear; " + conv(5, 3)
    network = small_network(body)
    weights = random_weights(network, 8)
    plan = Plan("layer", {}, network.fingerprint, {}, (3,))
    assert difference(network, weights, plan, "beta") > 1e-2
    assert difference(network, weights, plan) < 1e-6
    smaller, _ = apply_plan(network, weights, plan, "exact")
    assert [layer.shape.channels for layer in smaller.layers[:2]] == [7, 5]
    assert [layer.shape.channels for layer in apply_plan(network, weights, plan)[0].layers[:2]] == [6, 5]


def test_no_spare_channel_is_made_where_darknet_would_then_read_past_a_narrower_source():
    """A sum of 7 adds 2 channels of a layer that reads 6: with a spare one it would read 7, as many as the sum has.

    So the block becomes an adder.
    """
    body = (conv(6, 3) + conv(2) + conv(7) + "[shortcut]; from=-2; activation=linear; [route]; layers=0; " + conv(6)
            + "[shortcut]; from=-2; activation=linear; " + conv(5, 3))
    network = small_network(body)
    weights = random_weights(network, 8)
    plan = Plan("layer", {}, network.fingerprint, {}, (6,))
    worked_out = carried_out(network, weights, plan, "exact")
    assert worked_out.adders == (6,)
    assert [layer.shape.channels for layer in worked_out.network.layers[:6]] == [6, 2, 7, 7, 6, 6]
    assert difference(network, weights, plan, "beta") > 1e-2
    assert difference(network, weights, plan) < 1e-6
