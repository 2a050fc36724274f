"""What a class costs, against the network that is left when it alone is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.generators import BLOCKS, networks, random_plan
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.darknet import Network
from utils.pruning import ChannelGroups, Plan, channel_groups, plan_of
from utils.pruning.class_costs import COST_UNITS, class_costs, layer_cost
from utils.pruning.surgery import planned_network

# Without what must stay balanced, what other layers than convolutions store, and what Darknet would read past.
CONVOLUTIONS_ALONE = sorted(set(BLOCKS) - {"grouped_convolution", "block_of_halves", "plain", "many_shortcut", "unequal_shortcut"})


def cost(network: Network, unit: str) -> int:
    """Of convolutions alone."""
    return sum(getattr(layer, unit) for layer in network.layers if layer.kind == "convolutional")


def without(network: Network, groups: ChannelGroups, class_id: int) -> Network:
    kept = np.arange(groups.count) != class_id
    return planned_network(network, plan_of(network, groups, kept, "one", {}))


@settings(max_examples=25)
@given(networks(blocks=CONVOLUTIONS_ALONE, max_blocks=5))
def test_a_class_costs_what_is_saved_without_it(network):
    groups = channel_groups(network)
    for unit in COST_UNITS:
        costs = class_costs(network, groups, np.ones(groups.count, dtype=bool), unit)
        for class_id in np.flatnonzero(~groups.fixed):
            if any((vector == class_id).all() for vector in groups.vectors):
                continue  # the last channel of its layer
            assert costs[class_id] == cost(network, unit) - cost(without(network, groups, int(class_id)), unit)


@settings(max_examples=15)
@given(networks(blocks=CONVOLUTIONS_ALONE, max_blocks=4))
def test_what_is_gone_already_counts_at_the_widths_that_are_left(network):
    """Costs at the widths that a plan leaves are those of the network that it leaves."""
    groups = channel_groups(network)
    plan = random_plan(network, 1, 0.3)
    kept = np.ones(groups.count, dtype=bool)
    for index, keep in plan.keep.items():
        kept[groups.vectors[index][~keep.flags]] = False
    smaller = planned_network(network, plan)
    new = channel_groups(smaller)
    for unit in COST_UNITS:
        before = class_costs(network, groups, kept, unit)
        after = class_costs(smaller, new, np.ones(new.count, dtype=bool), unit)
        for old_vector, new_vector in zip(groups.vectors, new.vectors, strict=True):
            np.testing.assert_allclose(before[old_vector[kept[old_vector]]], after[new_vector])


def test_the_numbers_of_a_small_network_are_those_counted_by_hand():
    """12x10 pixels; 1x1 from 3 to 4, 3x3 from 4 to 8, 1x1 from 8 to 6."""
    network = small_network(conv(4) + conv(8, 3))
    groups = channel_groups(network)
    everything = np.ones(groups.count, dtype=bool)
    parameters, macs = (class_costs(network, groups, everything, unit) for unit in COST_UNITS)
    assert parameters[groups.vectors[0]].tolist() == [3 + 4 + 8 * 9] * 4
    assert parameters[groups.vectors[1]].tolist() == [4 * 9 + 4 + 6] * 8
    assert macs[groups.vectors[0]].tolist() == [120 * (3 + 8 * 9)] * 4
    assert macs[groups.vectors[1]].tolist() == [120 * (4 * 9 + 6)] * 8


def test_a_convolution_whose_input_and_output_are_tied_loses_their_common_weights_once():
    network = small_network(conv(4) + conv(4, 3) + "[shortcut]; from=-2; activation=linear\n")
    groups = channel_groups(network)
    costs = class_costs(network, groups, np.ones(groups.count, dtype=bool), "parameters")
    assert costs[groups.vectors[0][0]] == (3 + 4) + (4 * 9 + 4 * 9 - 9 + 4) + 6


@pytest.mark.parametrize("unit", COST_UNITS)
def test_layers_that_went_cost_nothing_and_save_what_they_cost(unit):
    block = conv(3) + conv(4, 3) + "[shortcut]; from=-3; activation=linear\n"
    network = small_network(conv(4) + block + conv(5))
    groups = channel_groups(network)
    everything = np.ones(groups.count, dtype=bool)
    smaller = planned_network(network, Plan("by hand", {}, network.fingerprint, {}, (3,)))
    saved = cost(network, unit) - cost(smaller, unit)
    assert sum(layer_cost(network.layers[index], groups, everything, unit) for index in (1, 2)) == saved
    left = class_costs(network, groups, everything, unit, gone={1, 2, 3})
    new = channel_groups(smaller)
    np.testing.assert_array_equal(left[groups.vectors[0]],
                                  class_costs(smaller, new, np.ones(new.count, dtype=bool), unit)[new.vectors[0]])
    assert not left[groups.vectors[1]].any()


@settings(max_examples=15)
@given(networks(max_blocks=5))
def test_the_layers_of_a_network_cost_what_it_costs(network):
    groups = channel_groups(network)
    for unit in COST_UNITS:
        convolutions = [layer for layer in network.layers if layer.kind == "convolutional"]
        assert sum(layer_cost(layer, groups, np.ones(groups.count, dtype=bool), unit)
                   for layer in convolutions) == cost(network, unit)
