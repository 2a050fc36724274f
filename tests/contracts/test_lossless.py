"""What sparse training drove to zero goes without a trace, by every strategy, constants and padded borders included."""

from __future__ import annotations

import numpy as np
import pytest

from tests.generators import random_weights
from tests.pruning.reference import heads, random_image
from utils.darknet import Network, Weights, parse_network
from utils.darknet.builder import build_cfg
from utils.pruning import (
    Plan,
    apply_plan,
    channel_groups,
    layer_channel_plan,
    layer_plan,
    normal_plan,
    remarks,
    residual_blocks,
    shortcut_plan,
    slim_plan,
)

SPARSE = 0.4  # of the groups of channels; and of the residual blocks
NEAR_ZERO = 1e-7


def trained(name: str) -> tuple[Network, Weights, int]:
    """A small network in which whole groups of channels are near zero, and whole blocks; and how many blocks."""
    network = parse_network(build_cfg(name, width_multiple=0.1, width=64, height=64, classes=2))
    weights, groups = random_weights(network, 11), channel_groups(network)
    rng = np.random.default_rng(12)
    silent = (rng.random(groups.count) < SPARSE) & ~groups.fixed
    for layer in network.layers:
        vector = groups.vectors[layer.index]
        if "gamma" in weights.layers[layer.index] and not silent[vector].all():
            weights.layers[layer.index]["gamma"][silent[vector]] *= NEAR_ZERO
    blocks = [block for block in residual_blocks(network) if rng.random() < SPARSE]
    for block in blocks:
        weights.layers[block.feeder]["gamma"] *= NEAR_ZERO
    return network, weights, len(blocks)


def cuts(network: Network, weights: Weights, blocks: int) -> dict[str, Plan]:
    """Of every strategy the largest cut that takes nothing but what is near zero, to a twentieth of the channels."""
    shares = [share / 100 for share in range(5, 95, 5)]
    strategies = {"normal": normal_plan, "shortcut": shortcut_plan, "slim": slim_plan}
    plans = {name: [strategy(network, weights, share) for share in shares] for name, strategy in strategies.items()}
    if blocks:
        plans["layer"] = [layer_plan(network, weights, blocks)]
        plans["layer_channel"] = [layer_channel_plan(network, weights, blocks, share) for share in shares]
    return {name: [plan for plan in found if _is_free(network, weights, plan)][-1] for name, found in plans.items()}


def _is_free(network: Network, weights: Weights, plan: Plan) -> bool:
    """Whether every channel that goes, and the end of every block that goes, has a gamma near zero."""
    gone = [np.abs(weights.layers[i]["gamma"][~keep.flags]) for i, keep in plan.keep.items() if "gamma" in weights.layers[i]]
    ends = [np.abs(weights.layers[block.feeder]["gamma"]) for block in residual_blocks(network)
            if block.shortcut in plan.blocks]
    return all((gammas < 1e-5).all() for gammas in (*gone, *ends))


@pytest.mark.parametrize("name", ["yolov3", "yolov3-tiny", "yolov4", "yolov4-tiny", "yolov7-tiny"])
def test_the_share_that_is_near_zero_goes_without_a_trace(name):
    network, weights, blocks = trained(name)
    x = random_image(network)
    before = heads(network, weights, x)
    for strategy, plan in cuts(network, weights, blocks).items():
        smaller, cut = apply_plan(network, weights, plan, "exact")
        assert smaller.parameters < (0.95 if strategy == "layer" else 0.7) * network.parameters, strategy
        for one, other in zip(before, heads(smaller, cut, x), strict=True):
            np.testing.assert_allclose(other, one, atol=1e-4 * np.ptp(one), err_msg=strategy)
        assert not any("hardly trained" in remark for remark in remarks(network, weights, plan)), strategy


def test_one_step_further_is_seen():
    """Or the test above would prove little."""
    network, weights, _ = trained("yolov3-tiny")
    x = random_image(network)
    (before, *_), (after, *_) = (heads(*pair, x) for pair in (
        (network, weights), apply_plan(network, weights, normal_plan(network, weights, 0.6), "exact")))
    assert np.abs(after - before).max() > 1e-2 * np.ptp(before)
