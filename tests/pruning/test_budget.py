"""Budgets are met with the fewest steps, after ties, multiples and floors, and impossible ones say what is possible."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.generators import networks
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.darknet import Network
from utils.errors import TargetError
from utils.pruning import channel_groups, residual_blocks
from utils.pruning.budget import Limit, _rounded_up, balanced_plan, plan_after, plan_within
from utils.pruning.class_costs import class_costs
from utils.pruning.elimination import Step
from utils.pruning.surgery import planned_network


def some_order(network: Network, seed: int) -> list[Step]:
    """All channels that may go and all blocks, by chance."""
    classes = np.flatnonzero(~channel_groups(network).fixed).tolist()
    steps = [Step(class_id=one) for one in classes] + [Step(block=one.shortcut) for one in residual_blocks(network)]
    return [steps[place] for place in np.random.default_rng(seed).permutation(len(steps))]


def parameters(most: float) -> Limit:
    return Limit("parameters", lambda network: network.parameters, most)


def macs(most: float) -> Limit:
    return Limit("multiply-adds", lambda network: network.macs, most)


@settings(max_examples=25)
@given(networks(max_blocks=5), st.integers(0, 1000), st.sampled_from((1, 2, 4)), st.floats(0.3, 0.95))
def test_the_limits_are_met_and_with_one_step_less_they_are_not(network, seed, round_to, share):
    order = some_order(network, seed)
    limits = [parameters(share * network.parameters), macs(min(1, share + 0.1) * network.macs)]
    smallest = planned_network(network, plan_after(network, order, len(order), "", {}, round_to=round_to))
    assume(all(limit.excess(smallest) <= 1 for limit in limits))
    plan = plan_within(network, order, limits, "compress", {"target": 2}, round_to=round_to)
    smaller = planned_network(network, plan)
    assert all(limit.excess(smaller) <= 1 for limit in limits)
    plans = [plan_after(network, order, number, "compress", {"target": 2}, round_to=round_to) for number in range(len(order) + 1)]
    count = plans.index(plan)
    almost = planned_network(network, plans[count - 1])
    assert any(limit.excess(almost) > 1 for limit in limits)


@settings(max_examples=25)
@given(networks(max_blocks=6), st.integers(0, 1000), st.sampled_from((1, 2, 8)), st.floats(0, 1))
def test_every_layer_keeps_a_channel_and_widths_are_multiples(network, seed, round_to, share):
    order = some_order(network, seed)
    plan = plan_after(network, order, round(share * len(order)), "compress", {}, round_to=round_to)
    for keep in plan.keep.values():
        assert len(keep) % round_to == 0 or keep.is_whole
    planned_network(network, plan)
    assert set(plan.blocks) == {step.block for step in order[:round(share * len(order))] if step.block is not None}


def test_what_was_cut_too_far_is_given_back_the_last_first():
    network = small_network(conv(8) + conv(5))
    classes = channel_groups(network).vectors[0]
    order = [Step(class_id=int(classes[channel])) for channel in (3, 1, 7, 0, 5, 2, 6, 4)]
    plan = plan_after(network, order, 6, "compress", {}, round_to=4)
    assert plan.keep[0].channels == (2, 4, 5, 6)
    assert plan_after(network, order, 8, "compress", {}).keep[0].channels == (4,)
    assert plan_after(network, order, 0, "compress", {}).keeps_everything


@settings(max_examples=15)
@given(networks(max_blocks=4), st.integers(0, 1000), st.sampled_from((1, 4)))
def test_an_impossible_target_says_the_smallest_possible_one_and_that_works(network, seed, round_to):
    order = some_order(network, seed)
    with pytest.raises(TargetError, match="cannot be brought to 1 parameters") as error:
        plan_within(network, order, [parameters(1)], "compress", {}, round_to=round_to)
    smallest = float(re.search(r"ask for (\S+) or more", error.value.remedy)[1])
    assume(smallest < network.parameters)
    plan = plan_within(network, order, [parameters(smallest)], "compress", {}, round_to=round_to)
    assert planned_network(network, plan).parameters <= smallest


@given(st.floats(1e-9, 1e12))
def test_a_number_that_is_offered_is_never_too_small_and_short(number):
    shown = float(_rounded_up(number))
    assert number <= shown <= number * 1.001 + 1e-12


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_a_network_that_meets_its_target_is_not_cut(factor):
    network = small_network(conv(8) + conv(5))
    with pytest.raises(TargetError, match="as it is"):
        plan_within(network, some_order(network, 0), [parameters(factor * network.parameters)], "compress", {})


def test_all_of_several_limits_count():
    network = small_network(conv(16) + conv(24, 3) + conv(16))
    order = some_order(network, 0)
    loose, tight = parameters(0.9 * network.parameters), macs(0.3 * network.macs)
    together = planned_network(network, plan_within(network, order, [loose, tight], "compress", {}))
    assert together == planned_network(network, plan_within(network, order, [tight], "compress", {}))
    assert together.parameters < 0.6 * network.parameters


def by_savings(network: Network, worth: np.ndarray) -> Callable[[Sequence[float]], list[Step]]:
    """Orders that take first what is worth least per weighted saving."""
    groups = channel_groups(network)
    everything = np.ones(groups.count, dtype=bool)
    saved = [class_costs(network, groups, everything, unit) / of
             for unit, of in (("parameters", network.parameters), ("macs", network.macs))]
    removable = np.flatnonzero(~groups.fixed)

    def order(balance: Sequence[float]) -> list[Step]:
        total = sum(weight * saving for weight, saving in zip(balance, saved, strict=True))
        return [Step(class_id=int(c)) for c in removable[np.argsort(worth[removable] / total[removable], kind="stable")]]

    return order


@pytest.mark.parametrize("seed", range(4))
def test_several_limits_are_met_at_once_where_an_order_of_one_balance_overshoots(seed):
    """Early layers have the multiply-adds and late ones the parameters, so what saves both has to be mixed."""
    network = small_network(conv(32, 3) + conv(48, 3) + "[maxpool]; size=2; stride=2\n" + conv(64, 3) + conv(96, 3) + conv(80, 3))
    groups = channel_groups(network)
    worth = np.random.default_rng(seed).uniform(0.01, 1, groups.count)
    order = by_savings(network, worth)
    limits = [parameters(0.24 * network.parameters), macs(0.2 * network.macs)]
    plans = [plan_within(network, order((1.0, 1.0)), limits, "compress", {}),
             balanced_plan(network, order, limits, "compress", {})]
    slack = [1 - min(limit.excess(planned_network(network, plan)) for limit in limits) for plan in plans]
    assert slack[1] < 0.6 * slack[0]
    assert all(limit.excess(planned_network(network, plans[1])) <= 1 for limit in limits)


def test_a_limit_that_costs_nothing_leaves_the_order_to_the_others():
    network = small_network(conv(16, 3) + conv(24, 3) + "[maxpool]; size=2; stride=2\n" + conv(32, 3) + conv(48, 3))
    order = by_savings(network, np.random.default_rng(0).uniform(0.01, 1, channel_groups(network).count))
    tight, loose = parameters(0.4 * network.parameters), macs(0.99 * network.macs)
    alone = planned_network(network, plan_within(network, order((1.0, 0.0)), [tight], "compress", {}))
    both = planned_network(network, balanced_plan(network, order, [tight, loose], "compress", {}))
    assert both.macs >= 0.97 * alone.macs
    assert tight.excess(both) <= 1
