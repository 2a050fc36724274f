"""Layer pruning, alone and with channels: which blocks go, how many may, and what is said where none can."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_weights
from tests.pruning.ancestor import doomed_shortcuts, gammas_of
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from tests.pruning.test_slim import gammas_only
from utils.darknet import initial_weights, read_network
from utils.errors import PlanError
from utils.pruning import Plan, apply_plan, layer_channel_plan, layer_plan, residual_blocks, slim_plan

CFG = Path(__file__).resolve().parents[2] / "cfg"


def shortcuts_of(network):
    return [layer.index for layer in network.layers if layer.kind == "shortcut"]


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp", "yolov4"])
@pytest.mark.parametrize("count", [1, 8, 16, 23])
def test_the_blocks_with_the_smallest_mean_gamma_go_as_they_did_in_the_ancestor(name, count):
    network = read_network(CFG / f"{name}.cfg")
    weights = gammas_only(network, seed=count)
    gamma = gammas_of(weights)
    plan = layer_plan(network, weights, count)
    expected = doomed_shortcuts(network, {i: float(gamma[i - 1].mean()) for i in shortcuts_of(network)}, count)
    assert plan.blocks == tuple(expected)
    assert all(keep.is_whole for keep in plan.keep.values())
    gone = {layer for i in expected for layer in (i - 2, i - 1, i)}
    assert not gone & plan.keep.keys()


@pytest.mark.parametrize("percent", [0.3, 0.8])
def test_channels_go_first_and_the_blocks_are_ranked_by_what_survives(percent):
    network = read_network(CFG / "yolov3.cfg")
    weights = gammas_only(network, seed=1)
    gamma = gammas_of(weights)
    slim = slim_plan(network, weights, percent, 0.01)
    plan = layer_channel_plan(network, weights, 8, percent, 0.01)
    survivors = {i: float(gamma[i - 1][slim.keep[i - 1].flags].mean()) for i in shortcuts_of(network)}
    assert plan.blocks == tuple(doomed_shortcuts(network, survivors, 8))
    assert plan.keep == {layer: keep for layer, keep in slim.keep.items() if layer in plan.keep}
    assert len(slim.keep) - len(plan.keep) == 16


def three_blocks():
    block = conv(2) + conv(4, 3) + "[shortcut]; from=-3; activation=linear\n"
    return small_network(conv(4) + 2 * block + conv(6, 3, stride=2) + block.replace("filters=4", "filters=6"))


def with_feeders(network, *means: float):
    weights = random_weights(network)
    for layer, mean in zip((2, 5, 9), means, strict=True):
        weights.layers[layer]["gamma"][:] = mean
    return weights


def test_equal_blocks_go_in_layer_order():
    network = three_blocks()
    assert layer_plan(network, with_feeders(network, 1, 1, 1), 2).blocks == (3, 6)
    assert layer_plan(network, with_feeders(network, 1, -0.5, 1), 2).blocks == (3, 6)
    assert layer_plan(network, with_feeders(network, 1, 0.5, 0.25), 2).blocks == (6, 10)


def test_so_many_blocks_stay_in_each_stage():
    network = three_blocks()
    weights = with_feeders(network, 2, 3, 1)
    assert layer_plan(network, weights, 1).blocks == (10,)
    assert layer_plan(network, weights, 1, min_blocks_per_stage=1).blocks == (3,)
    with pytest.raises(PlanError, match="3 residual blocks, 1 of which can go with 1 left in each stage, and 2 should; "
                                        "ask for 1 at most"):
        layer_plan(network, weights, 2, min_blocks_per_stage=1)
    with pytest.raises(PlanError, match="with 2 left in each stage all 3 stay"):
        layer_plan(network, weights, 1, min_blocks_per_stage=2)


@pytest.mark.parametrize("strategy", [layer_plan, layer_channel_plan])
def test_more_blocks_than_there_are_is_an_error_that_counts_them(strategy):
    network = read_network(CFG / "yolov3.cfg")
    with pytest.raises(PlanError, match=r"yolov3.cfg: has 23 residual blocks, 23 of which can go, and 24 should; ask for 23"):
        strategy(network, gammas_only(network, 0), 24)


@pytest.mark.parametrize("strategy", [layer_plan, layer_channel_plan])
@pytest.mark.parametrize(("body", "why"), [
    (conv(4) + conv(4), r"it has no \[shortcut\]"),
    (conv(4) + conv(4) + "[shortcut]; from=0; activation=relu\n", "layer 2, must stay because .* activation=relu"),
])
def test_a_network_without_blocks_is_told_why(strategy, body, why):
    network = small_network(body)
    with pytest.raises(PlanError, match=f"no residual block that could go, and 8 should: .*{why}"):
        strategy(network, initial_weights(network))


@pytest.mark.parametrize("arguments", [{"shortcuts": -1}, {"min_blocks_per_stage": -1}])
def test_a_number_below_zero_is_refused(arguments):
    network = three_blocks()
    with pytest.raises(PlanError, match=f"{next(iter(arguments))}=-1"):
        layer_plan(network, random_weights(network), **arguments)


def test_no_blocks_asked_for_keeps_everything():
    network = three_blocks()
    assert layer_plan(network, random_weights(network), 0).keeps_everything


def test_a_gamma_that_is_no_number_is_refused_with_its_place():
    network = three_blocks()
    with pytest.raises(PlanError, match="gammas of layer 5 are NaN"):
        layer_plan(network, with_feeders(network, 1, np.nan, 1), 1)


@settings(max_examples=20)
@given(network=networks(blocks=("residual", "convolution", "depthwise", "concat"), normalized=True), seed=st.integers(0, 99),
       percent=st.sampled_from([0, 0.5, 0.95]), least=st.integers(0, 1), data=st.data())
def test_as_many_blocks_go_as_were_asked_for_and_so_many_stay(network, seed, percent, least, data):
    stages = Counter(block.stage for block in residual_blocks(network))
    count = data.draw(st.integers(0, sum(max(0, n - least) for n in stages.values())))
    weights = random_weights(network, seed)
    plan = layer_channel_plan(network, weights, count, percent, min_blocks_per_stage=least)
    assert len(plan.blocks) == count
    assert Plan.from_json(plan.to_json()) == plan
    left = Counter(block.stage for block in residual_blocks(network) if block.shortcut not in plan.blocks)
    assert all(left[stage] >= min(least, n) for stage, n in stages.items())
    apply_plan(network, weights, plan, "beta")
