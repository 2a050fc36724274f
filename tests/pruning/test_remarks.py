"""What a user hears about a plan: that the network was never made sparse, and which layers were rescued."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.generators import random_weights
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from tests.pruning.test_slim import gammas_only
from utils.darknet import Network, Weights, initial_weights, read_network
from utils.pruning import (
    keep_everything,
    layer_channel_plan,
    layer_plan,
    normal_plan,
    remarks,
    rescued_layers,
    shortcut_plan,
    slim_plan,
    sparsity_remark,
)

CFG = Path(__file__).resolve().parents[2] / "cfg"


def small() -> tuple[Network, Weights]:
    network = small_network(conv(4) + conv(4) + conv(4))
    weights = random_weights(network)
    for layer, gammas in {0: [1, 2, 3, 4], 1: [0.1, 0.2, -0.4, 0.3], 2: [5, 6, 7, 8]}.items():
        weights.layers[layer]["gamma"][:] = gammas
    return network, weights


@pytest.mark.parametrize(("strategy", "limit"), [(normal_plan, "--percent up to 0.25"), (shortcut_plan, "--percent up to 0.25"),
                                                 (slim_plan, "--global_percent below 0.25")])
def test_a_rescued_layer_is_named_with_the_share_that_needs_no_rescue(strategy, limit):
    network, weights = small()
    plan = strategy(network, weights, 0.5)
    assert plan.keep[1].channels == (2,)
    assert rescued_layers(network, weights, plan) == (1,)
    said = remarks(network, weights, plan)[-1]
    assert said == f"layer 1 would have been emptied: its best channels stay; {limit} empties none (layer 1 would be the first)"
    gentler = strategy(network, weights, 0.25 if strategy is not slim_plan else 0.24)
    assert rescued_layers(network, weights, gentler) == ()
    assert not any("emptied" in text for text in remarks(network, weights, gentler))


def test_a_layer_that_a_tie_saves_was_not_rescued():
    network = small_network(conv(4) + conv(4) + "[shortcut]; from=0; activation=linear\n" + conv(4))
    weights = random_weights(network)
    for layer, gammas in {0: [0.1, 0.2, 0.3, 0.4], 1: [9, 9, 9, 9], 3: [5, 6, 7, 8]}.items():
        weights.layers[layer]["gamma"][:] = gammas
    assert rescued_layers(network, weights, slim_plan(network, weights, 0.5)) == ()
    assert rescued_layers(network, weights, normal_plan(network, weights, 0.25)) == ()
    assert rescued_layers(network, weights, shortcut_plan(network, weights, 0.7)) == (0, 1)


def test_layers_that_go_with_their_block_are_not_named():
    network = read_network(CFG / "yolov3.cfg")
    weights = gammas_only(network, 0)
    plan = layer_channel_plan(network, weights, 23, 0.99)
    named = rescued_layers(network, weights, plan)
    assert named
    assert set(named) <= plan.keep.keys()


def test_gammas_that_are_all_alike_are_told_before_the_cut():
    network = small_network(conv(8) + conv(8))
    weights = initial_weights(network)
    said = sparsity_remark(network, weights, 0.8)
    assert "0.0% of its gammas are near zero" in said
    assert "90 % lie between 1 and 1" in said
    assert "80% of the channels" in said
    assert remarks(network, weights, slim_plan(network, weights, 0.8))[0] == said
    assert sparsity_remark(network, weights, 0) is None


@pytest.mark.parametrize(("near_zero", "quiet"), [(0.0, False), (0.25, False), (0.5, True), (0.9, True)])
def test_a_sparse_network_is_not_told_that_it_is_not(near_zero, quiet):
    network = small_network(conv(100))
    weights = random_weights(network)
    weights.layers[0]["gamma"][:] = np.where(np.arange(100) < 100 * near_zero, 1e-4, 1)
    assert (sparsity_remark(network, weights, 0.8) is None) == quiet


def test_layer_pruning_counts_the_channels_that_go_with_the_blocks():
    network = read_network(CFG / "yolov3.cfg")
    weights = initial_weights(network)
    plan = layer_plan(network, weights, 8)
    channels = {layer.index: layer.shape.channels for layer in network.layers
                if layer.kind == "convolutional" and layer.options.batch_normalize}
    gone = sum(channels[block + step] for block in plan.blocks for step in (-2, -1)) / sum(channels.values())
    (said,) = remarks(network, weights, plan)
    assert f"{gone:.0%} of the channels shall go" in said
    assert remarks(network, weights, layer_plan(network, weights, 0)) == ()
    for arrays in weights.layers:
        if "gamma" in arrays:
            arrays["gamma"][::2] = 1e-3
    assert remarks(network, weights, layer_plan(network, weights, 8)) == ()


def test_plans_of_nobody_here_have_no_remarks():
    network = read_network(CFG / "yolov3.cfg")
    assert remarks(network, gammas_only(network, 0), keep_everything(network)) == ()
