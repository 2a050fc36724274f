"""Two cuts as one: the composed plan does what the two do after each other, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from tests.pruning.test_offset import plan_without
from utils.darknet import Network
from utils.errors import PlanError
from utils.pruning import Plan, apply_plan, channel_groups, completed, keep_everything, plan_of, residual_blocks
from utils.pruning.composition import composed
from utils.pruning.selection import chosen_blocks, removed_layers

RESIDUAL = conv(3) + conv(4, 3) + "[shortcut]; from=-3; activation=linear\n"


def plan_with_blocks(network: Network, seed: int) -> Plan:
    """Some channels and some blocks, by chance."""
    rng = np.random.default_rng(seed)
    blocks = [block.shortcut for block in residual_blocks(network) if rng.random() < 0.5]
    groups = channel_groups(network)
    scores = rng.random(groups.count)
    kept = completed(network, groups, scores >= 0.3, scores)
    return plan_of(network, groups, kept, "random", {"seed": seed}, blocks)


def same_pair(network: Network, first: Plan, second: Plan, middle: Network) -> None:
    weights = random_weights(network, 5)
    half = apply_plan(network, weights, first, "none")
    expected = apply_plan(*half, second, "none")
    assert half[0].fingerprint == middle.fingerprint
    found = apply_plan(network, weights, composed(network, first, second), "none")
    assert found[0].document == expected[0].document
    for a, b in zip(found[1].layers, expected[1].layers, strict=True):
        assert a.keys() == b.keys()
        assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def rules_of(network: Network, plan: Plan) -> list[type]:
    gone = removed_layers(chosen_blocks(network, plan.blocks))
    return [type(layer.rule) for layer in network.layers if layer.index not in gone]


@settings(max_examples=60)
@given(networks(), st.integers(0, 2**32 - 2))
def test_the_composed_plan_does_what_both_do_after_each_other(network, seed):
    first = plan_with_blocks(network, seed)
    middle, _ = apply_plan(network, random_weights(network), first, "none")
    second = plan_with_blocks(middle, seed + 1)
    assume(rules_of(network, first) == [type(layer.rule) for layer in middle.layers])
    assume(len(residual_blocks(middle)) == len(residual_blocks(network)) - len(first.blocks) or not second.blocks)
    same_pair(network, first, second, middle)


def test_what_only_the_smaller_network_can_do_is_refused():
    """Of a depthwise convolution with two filters per channel an ordinary one is left when one channel is left."""
    network = small_network(conv(2) + conv(4, 3, groups=2) + conv(5))
    first = plan_without(network, {0: (1,), 1: (2, 3)})
    middle, _ = apply_plan(network, random_weights(network), first)
    with pytest.raises(PlanError, match="tied"):
        apply_plan(network, random_weights(network), composed(network, first, plan_without(middle, {1: (0,)})))


@pytest.mark.parametrize(("first_blocks", "second_blocks"), [((3,), (3,)), ((6,), (3,)), ((), (3, 6)), ((3, 6), ())])
def test_blocks_that_go_one_after_the_other_go_together(first_blocks, second_blocks):
    network = small_network(conv(4) + RESIDUAL + RESIDUAL + conv(5))
    groups = channel_groups(network)
    kept = np.arange(groups.count) != groups.vectors[0][2]
    first = plan_of(network, groups, kept, "first", {}, first_blocks)
    middle, _ = apply_plan(network, random_weights(network), first)
    groups = channel_groups(middle)
    kept = np.arange(groups.count) != groups.vectors[0][0]
    second = plan_of(middle, groups, kept, "second", {"round": 2}, second_blocks)
    same_pair(network, first, second, middle)
    both = composed(network, first, second)
    assert (both.strategy, dict(both.parameters), both.fingerprint) == ("second", {"round": 2}, network.fingerprint)
    assert both.keep[0].channels == (1, 3)


def test_to_keep_everything_before_or_after_changes_nothing():
    network = small_network(conv(6) + conv(5))
    plan = plan_without(network, {0: (1, 4)})
    smaller, _ = apply_plan(network, random_weights(network), plan)
    assert composed(network, plan, keep_everything(smaller)).keep[0] == plan.keep[0]
    assert composed(network, keep_everything(network), plan).keep[0] == plan.keep[0]


def test_plans_that_do_not_follow_each_other_are_refused():
    network = small_network(conv(6) + conv(5))
    plan = plan_without(network, {0: (1, 4)})
    with pytest.raises(PlanError, match="two plans that follow each other"):
        composed(network, plan, plan)
    other = small_network(conv(7))
    with pytest.raises(PlanError, match="fingerprints differ"):
        composed(other, plan, plan)
