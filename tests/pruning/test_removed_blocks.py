"""Residual blocks cut out for good: plan, surgery, files, and what the heads say afterwards."""

from __future__ import annotations

from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.generators import legal_plans, networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import forward, heads, random_image
from tests.pruning.test_blocks import THREE_STAGES, bottleneck, conv, shortcut
from tests.pruning.test_carriers import difference
from utils.darknet import Network, Weights, parse_network, read_network, read_weights, write_cfg, write_weights
from utils.darknet.builder import build_cfg
from utils.pruning import Plan, apply_plan, carried_out, layer_plan, masked_weights, residual_blocks
from utils.pruning.selection import chosen_blocks, removed_layers


def without_blocks(network: Network, shortcuts: tuple[int, ...]) -> Plan:
    return Plan("by hand", {}, network.fingerprint, {}, shortcuts)


def through_files(network: Network, weights: Weights, folder: Path) -> tuple[Network, Weights]:
    """Written, and read again."""
    write_cfg(folder / "cut.cfg", network)
    write_weights(folder / "cut.weights", network, weights)
    again = read_network(folder / "cut.cfg")
    return again, read_weights(folder / "cut.weights", again)


def test_every_subset_of_three_stages_computes_what_was_masked_when_it_is_read_again(tmp_path):
    network = small_network(THREE_STAGES, width=16, height=16)
    weights, x = random_weights(network, 5), random_image(network)
    shortcuts = [block.shortcut for block in residual_blocks(network)]
    assert len(shortcuts) == 5
    for chosen in chain.from_iterable(combinations(shortcuts, count) for count in range(6)):
        plan = without_blocks(network, chosen)
        smaller, cut = through_files(*apply_plan(network, weights, plan, "exact"), tmp_path)
        assert len(network.layers) - len(smaller.layers) == 3 * len(chosen)
        masked = heads(network, masked_weights(network, weights, plan), x)
        for before, after in zip(masked, heads(smaller, cut, x), strict=True):
            np.testing.assert_allclose(after, before, atol=1e-5 * max(1, np.ptp(before)))


def test_a_plain_fold_is_exact_where_all_kernels_are_1x1():
    body = conv(4) + (conv(2) + conv(4) + shortcut(-3)) * 3 + conv(5) + conv(2) + conv(5) + shortcut(-3) + conv(4)
    network = small_network(body)
    weights = random_weights(network, 6)
    for chosen in ((3,), (3, 9), (6, 13), (3, 6, 9, 13)):
        assert difference(network, weights, without_blocks(network, chosen), "beta") < 1e-6


def test_a_plain_fold_is_exact_away_from_borders():
    """Two 3x3 kernels read what the block added: the outer two pixels are wrong, and no others."""
    network = small_network(conv(4, 3) + bottleneck(4) + conv(5, 3) + conv(4, 3), width=16, height=14)
    weights, x = random_weights(network, 7), random_image(network)
    plan = without_blocks(network, (3,))
    masked = forward(network, masked_weights(network, weights, plan), x)[5]
    smaller, cut = apply_plan(network, weights, plan, "beta")
    wrong = np.abs(forward(smaller, cut, x)[2] - masked).max(axis=(0, 1)) > 1e-5
    assert not wrong[2:-2, 2:-2].any()
    assert wrong[0].any()
    assert wrong[:, -1].any()


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp", "yolov4", "yolov4-csp"])
@pytest.mark.parametrize("stage", [2, 3])
def test_a_head_keeps_its_route_to_a_stage_that_lost_all_its_blocks(name, stage, tmp_path):
    network = parse_network(build_cfg(name, width_multiple=0.1, width=64, height=64, classes=2))
    weights, x = random_weights(network, 8), random_image(network)
    plan = without_blocks(network, tuple(b.shortcut for b in residual_blocks(network) if b.stage == stage))
    assert len(plan.blocks) == 8
    smaller, cut = through_files(*apply_plan(network, weights, plan, "exact"), tmp_path)
    assert [head.shape for head in smaller.heads] == [head.shape for head in network.heads]
    for before, after in zip(heads(network, masked_weights(network, weights, plan), x), heads(smaller, cut, x), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-5 * max(1, np.ptp(before)))


C3 = (conv(8, 3, stride=2) + "[route]\nlayers=-1\n" + conv(4) + "[route]\nlayers=-2\n" + conv(4)
      + (conv(4) + conv(4, 3) + shortcut(-3)) * 2 + "[route]\nlayers=-1,-9\n" + conv(8))
SPPF = conv(4) + "[maxpool]\nsize=5\nstride=1\n" * 3 + "[route]\nlayers=-1,-2,-3,-4\n" + conv(8)


@settings(max_examples=15)
@given(st.data())
def test_the_c3_and_sppf_of_yolov5_lose_blocks_and_channels(data):
    """A route of two whose first source is a shortcut: where back-walking scripts give up."""
    network = small_network(conv(6, 3).replace("leaky", "swish") + (C3 + SPPF).replace("leaky", "swish"), width=16, height=16)
    shortcuts = [block.shortcut for block in residual_blocks(network)]
    assert len(shortcuts) == 2
    chosen = data.draw(st.sets(st.sampled_from(shortcuts)))
    whole = data.draw(legal_plans(network))
    gone = removed_layers(chosen_blocks(network, chosen))
    plan = Plan("both", {}, network.fingerprint, {i: k for i, k in whole.keep.items() if i not in gone}, tuple(chosen))
    assert difference(network, random_weights(network, 9), plan) < 1e-5


@settings(max_examples=40)
@given(networks(blocks=("residual", "nested_residual", "convolution", "concat", "spp", "spatial_attention", "squeeze_excite",
                        "depthwise", "unequal_shortcut", "block_of_halves", "grouped_convolution"),
                activations=("linear", "leaky")), st.integers(0, 99))
def test_without_every_removable_block_a_network_still_parses_and_runs(network, seed):
    blocks = residual_blocks(network)
    assume(blocks)
    weights = random_weights(network, seed)
    smaller, cut = apply_plan(network, weights, layer_plan(network, weights, len(blocks)), "exact")
    assert parse_network(smaller.document.to_bytes()) == smaller
    adders = carried_out(network, weights, layer_plan(network, weights, len(blocks)), "exact").adders
    gone = removed_layers(blocks) - set(adders)
    assert [layer.kind for layer in smaller.layers] == ["convolutional" if layer.index in adders else layer.kind
                                                        for layer in network.layers if layer.index not in gone]
    found = heads(smaller, cut, random_image(smaller))
    assert [out.shape for out in found] == [out.shape for out in heads(network, weights, random_image(network))]
    assert all(np.isfinite(out).all() for out in found)
