"""Adders: where a removed block's constant can be folded nowhere and carried by nothing, one layer goes on adding it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.generators import random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import heads, random_image
from tests.pruning.test_blocks import bottleneck, conv, shortcut
from tests.pruning.test_carriers import difference
from tests.pruning.test_removed_blocks import through_files, without_blocks
from utils.darknet import parse_network
from utils.deploy import verify_pair
from utils.pruning import (
    apply_plan,
    carried_out,
    channel_groups,
    completed,
    cut_out,
    masked_weights,
    plan_of,
    planned_network,
    residual_blocks,
    summarize,
)

BLOCK = conv(4) + conv(2) + conv(4, 3) + shortcut(-3)  # layers 0 to 3
HALF = "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n"

READERS = {  # what reads layer 3, and an engine that can run it
    "a depthwise convolution": (conv(4, 3, groups=4), "OpenCV"),
    "a depthwise convolution that doubles its channels": (conv(8, 3, groups=4), "OpenCV"),
    "an activated shortcut": (conv(4) + shortcut(-2, activation="leaky"), "OpenCV"),
    "an activated sum of weighted layers": (conv(4) + shortcut("-2,0", activation="mish", weights_type="per_channel",
                                                               weights_normalization="softmax"), "ONNX Runtime"),
    "a weighted sum, depthwise": (conv(4) + shortcut(-2, weights_type="per_feature", weights_normalization="relu")
                                  + conv(4, 3, groups=4), "ONNX Runtime"),
    "a narrower sum, depthwise": (conv(3) + shortcut(-2) + conv(3, 3, groups=3), "OpenCV"),
    "squeeze-and-excitation": ("[avgpool]\n" + conv(4, activation="logistic") + "[scale_channels]\nfrom=3\n", "OpenCV"),
    "spatial attention": (conv(4, activation="logistic") + "[sam]\nfrom=-2\n", "OpenCV"),
    "an activation": ("[activation]\nactivation=mish\n", "ONNX Runtime"),
    "padded groups": (conv(4, 3, groups=2), "OpenCV"),
    "a half, padded": ("[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + conv(4, 3), "OpenCV"),
    "a shared convolution": (conv(4) + conv(4, share_index=4), None),
    "an old reorg": ("[reorg]\nstride=2\n", "OpenCV"),
}


@pytest.mark.parametrize("name", READERS)
def test_what_a_block_added_is_exact_for_every_reader(name, tmp_path):
    body, engine = READERS[name]
    network = small_network(BLOCK + body + conv(5))
    weights, plan = random_weights(network, 3), without_blocks(network, (3,))
    worked_out = carried_out(network, weights, plan, "exact")
    assert (worked_out.adders, worked_out.approximate_layers) == ((3,), ())
    assert carried_out(network, weights, plan, "beta").approximate_layers
    assert difference(network, weights, plan, "beta") > 1e-3
    assert difference(network, weights, plan) < 1e-6
    smaller, _ = through_files(*apply_plan(network, weights, plan, "exact"), tmp_path)
    assert smaller.parameters - planned_network(network, plan).parameters == 2 * 4  # kernel and bias
    report = verify_pair(tmp_path / "cut.cfg", tmp_path / "cut.weights", None, ["opencv"])
    assert engine is None or (report.status == "verified" and engine in str(report)), str(report)


@pytest.mark.parametrize("round_to", [1, 2])
@pytest.mark.parametrize("name", READERS)
def test_channels_go_at_the_same_time(name, round_to):
    network = small_network(BLOCK + READERS[name][0] + conv(5))
    weights, groups = random_weights(network, 4), channel_groups(network)
    kept = np.ones(groups.count, dtype=bool)
    kept[groups.vectors[0][[0, 2]]] = False
    kept = completed(network, groups, kept, np.zeros(groups.count), round_to=round_to)
    plan = plan_of(network, groups, kept, "by hand", {"round_to": round_to}, (3,))
    assert carried_out(network, weights, plan, "exact").approximate_layers == ()
    assert difference(network, weights, plan) < 1e-6
    smaller, _ = apply_plan(network, weights, plan, "exact")
    assert all(layer.shape.channels % round_to == 0 or layer.shape.channels in (3, 5) for layer in smaller.layers)


def test_one_adder_speaks_for_all_blocks_before_it():
    """Between the blocks 1x1 kernels read the sum, and take in what is lacking; behind them a depthwise one cannot."""
    body = conv(4) + (conv(6) + conv(4, activation="linear") + shortcut(-3)) * 3 + conv(4, 3, groups=4) + conv(5)
    network = small_network(body)
    weights = random_weights(network, 5)
    for chosen, adders in (((3,), (3,)), ((3, 9), (9,)), ((3, 6, 9), (9,)), ((6,), (6,))):
        plan = without_blocks(network, chosen)
        assert carried_out(network, weights, plan, "exact").adders == adders
        assert difference(network, weights, plan) < 1e-6


def test_a_block_behind_which_everything_can_be_carried_is_no_adder():
    """The first stage is read by a padded kernel, for which a spare channel can carry; the second depthwise."""
    network = small_network(conv(4) + bottleneck(4) + conv(6, 3) + bottleneck(6) + conv(6, 3, groups=6) + conv(5))
    weights = random_weights(network, 6)
    plan = without_blocks(network, (3, 7))
    assert carried_out(network, weights, plan, "exact").adders == (7,)
    smaller, _ = apply_plan(network, weights, plan, "exact")
    assert [layer.shape.channels for layer in smaller.layers[:4]] == [5, 6, 6, 6]
    assert difference(network, weights, plan) < 1e-6


def test_of_blocks_within_blocks_the_outer_one_is_the_adder():
    inner = conv(4) + conv(4) + shortcut(-2)
    network = small_network(conv(4) + inner + conv(4) + shortcut(0) + conv(4, 3, groups=4) + conv(5))
    weights = random_weights(network, 7)
    assert [block.shortcut for block in residual_blocks(network)] == [3, 5]
    for chosen, adders in (((3,), ()), ((5,), (5,)), ((3, 5), (5,))):
        plan = without_blocks(network, chosen)
        assert carried_out(network, weights, plan, "exact").adders == adders
        assert difference(network, weights, plan) < 1e-6


def test_all_of_the_cfg_but_the_block_stays_as_it_was_written():
    text = ("[net]\r\nwidth=8\r\nheight=8\r\nchannels=3\r\n\r\n[convolutional]\r\nfilters = 4 # four\r\n\r\n"
            "# the branch\r\n[convolutional]\r\nbatch_normalize=1\r\nfilters=4\r\n\r\n"
            "# the sum\r\n[shortcut]\r\nfrom = -2\r\n# half of it\r\nactivation = linear\r\n\r\n"
            "; depthwise\r\n[convolutional]\r\nfilters=4\r\ngroups=4\r\nsize=3\r\npad=1\r\n\r\n"
            "[route]\r\nlayers = -1, 2 # both\r\n[convolutional]\r\nfilters=6\r\nactivation=linear\r\n[yolo]\r\nmask=0\r\n"
            "classes=1\r\n")
    network = parse_network(text)
    smaller, _ = apply_plan(network, random_weights(network, 1), without_blocks(network, (2,)), "exact")
    expected = text.replace("# the branch\r\n[convolutional]\r\nbatch_normalize=1\r\nfilters=4\r\n\r\n", "").replace(
        "[shortcut]\r\nfrom = -2\r\n# half of it\r\nactivation = linear\r\n",
        "[convolutional]\r\nfilters = 4\r\ngroups = 4\r\nsize = 1\r\nstride = 1\r\npad = 0\r\nactivation = linear\r\n",
    ).replace("layers = -1, 2", "layers = -1, 1")
    assert smaller.document.to_bytes().decode() == expected


def test_the_mean_that_was_measured_is_what_is_added():
    """Of a linear branch the mean stands where beta would."""
    network = small_network(conv(4) + conv(4, activation="linear") + shortcut(-2) + conv(4, 3, groups=4) + conv(5))
    weights, plan = random_weights(network, 8), without_blocks(network, (2,))
    means = {1: np.array([0.5, -1.0, 2.0, 0.0])}
    masked = masked_weights(network, weights, plan)
    masked = masked.with_layers({1: {**masked.layers[1], "beta": means[1].astype(np.float32)}})
    x = random_image(network)
    smaller, cut = apply_plan(network, weights, plan, "exact-mean", means)
    np.testing.assert_allclose(heads(smaller, cut, x)[0], heads(network, masked, x)[0], atol=1e-6)


def test_a_network_with_an_adder_is_pruned_like_any_other():
    network = small_network(BLOCK + conv(4, 3, groups=4) + bottleneck(4) + conv(4, 3, groups=4) + conv(5))
    weights = random_weights(network, 9)
    middle, middle_weights = apply_plan(network, weights, without_blocks(network, (3,)), "exact")
    assert [block.shortcut for block in residual_blocks(middle)] == [5]
    groups = channel_groups(middle)
    kept = np.ones(groups.count, dtype=bool)
    kept[groups.vectors[0][[1, 3]]] = False
    assert all(kept[groups.vectors[layer]].sum() == 2 for layer in (0, 1, 2))  # the adder and what reads it
    for blocks in ((), (5,)):
        plan = plan_of(middle, groups, kept, "by hand", {}, blocks)
        assert carried_out(middle, middle_weights, plan, "exact").adders == blocks
        assert difference(middle, middle_weights, plan) < 1e-6


def test_a_summary_counts_the_layers_behind_an_adder_right():
    network = small_network(BLOCK + conv(4, 3, groups=4) + conv(5))
    weights, plan = random_weights(network, 10), without_blocks(network, (3,))
    found = carried_out(network, weights, plan, "exact")
    summary = summarize(network, cut_out(found)[0], plan, found.adders)
    assert [(width.layer, width.before, width.after) for width in summary.widths] == [
        (0, 4, 4), (1, 2, 0), (2, 4, 0), (4, 4, 4), (5, 5, 5), (6, 6, 6)]


@pytest.mark.parametrize("branch", [conv(4, 3, antialiasing=1), conv(4) + "[maxpool]\nsize=2\nstride=1\nantialiasing=1\n"])
def test_what_remains_approximate_is_said(branch):
    """Behind the 3x3 blur of antialiasing=1, which pads with zeros, what a branch adds is no constant at the border."""
    network = small_network(conv(4, 3) + branch + shortcut(0) + conv(5, 3))
    weights, plan = random_weights(network, 11), without_blocks(network, (len(network.layers) - 4,))
    worked_out = carried_out(network, weights, plan, "exact")
    assert worked_out.adders == ()
    assert worked_out.approximate_layers == (len(network.layers) - 3,)
    assert difference(network, weights, plan) > 1e-3
