"""Surgery: the compact network computes what the masked one does, and nothing else changes."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings

from tests.generators import BLOCKS, QUIET_ACTIVATIONS, networks, pruning_cases, random_plan, random_weights
from tests.pruning.compared import compared, small_network
from tests.pruning.reference import forward, heads, random_image
from tests.pruning.test_groups import case, conv
from tests.pruning.test_offset import plan_without
from tests.shared import SHARED, needs_shared
from utils.darknet import (
    Network,
    Weights,
    initial_weights,
    parse_network,
    read_network,
    read_weights,
    write_cfg,
    write_weights,
)
from utils.errors import PlanError, WeightsError
from utils.pruning import Keep, Plan, apply_plan, keep_everything, masked_weights, slim_plan

REAL = sorted(path.parent for path in SHARED.glob("weights/*/model.weights"))


@settings(max_examples=60)
@given(pruning_cases(padded=False))
def test_without_padding_the_compact_network_equals_the_masked_one_everywhere(pruned):
    found = compared(*pruned)
    assert found.offset.exact
    assert found.worst < 1e-8


@settings(max_examples=60)
@given(pruning_cases(quiet=True, activations=QUIET_ACTIVATIONS))
def test_where_removed_channels_emit_nothing_padding_does_not_matter(pruned):
    found = compared(*pruned)
    assume(found.offset.exact)  # a layer's logistic may still be read by a padded kernel
    assert found.worst < 1e-8


@settings(max_examples=60)
@given(pruning_cases())
def test_with_padding_the_networks_agree_up_to_the_first_layer_that_is_said_to_be_approximate(pruned):
    network, *_ = pruned
    found = compared(*pruned)
    first = min(found.offset.approximate_layers, default=len(network.layers))
    assert all(found.difference(i) < 1e-8 for i in range(first))


@settings(max_examples=40)
@given(pruning_cases(padded=False))
def test_the_float32_arrays_themselves_are_as_good_as_float32_is(pruned):
    network, weights, plan = pruned
    x = random_image(network)
    masked = heads(network, masked_weights(network, weights, plan), x)
    for a, b in zip(masked, heads(*apply_plan(network, weights, plan), x), strict=True):
        assert np.abs(a - b).max() <= 2e-5 * max(1, np.abs(a).max())


@settings(max_examples=40)
@given(networks())
def test_a_plan_that_keeps_everything_changes_no_bit(network):
    weights = random_weights(network)
    same, result = apply_plan(network, weights, keep_everything(network))
    assert same.document.to_bytes() == network.document.to_bytes()
    assert result.header.seen == 0
    for before, after in zip(weights.layers, result.layers, strict=True):
        assert before.keys() == after.keys()
        assert all(after[name].tobytes() == array.tobytes() for name, array in before.items())
    untouched = masked_weights(network, weights, keep_everything(network))
    assert all(a is b for a, b in zip(weights.layers, untouched.layers, strict=True))


@settings(max_examples=40)
@given(pruning_cases())
def test_the_text_changes_in_filters_and_groups_only(pruned):
    network, weights, plan = pruned
    smaller, _ = apply_plan(network, weights, plan)
    before, after = (n.document.to_bytes().decode().splitlines() for n in (network, smaller))
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert all(re.match("(filters|groups)=", a) and a.split("=")[0] == b.split("=")[0] for a, b in changed)


@settings(max_examples=40)
@given(pruning_cases())
def test_every_convolution_gets_the_width_that_the_plan_says(pruned):
    network, weights, plan = pruned
    smaller, _ = apply_plan(network, weights, plan)
    assert {i: smaller.layers[i].shape.channels for i in plan.keep} == {i: len(k) for i, k in plan.keep.items()}


@settings(max_examples=20)
@given(pruning_cases())
def test_nothing_given_is_changed(pruned):
    network, weights, plan = pruned
    before = [{k: v.copy() for k, v in arrays.items()} for arrays in weights.layers]
    text = network.document.to_bytes()
    apply_plan(network, weights, plan)
    masked_weights(network, weights, plan)
    assert network.document.to_bytes() == text
    for old, new in zip(before, weights.layers, strict=True):
        assert all(new[name].tobytes() == array.tobytes() for name, array in old.items())


@settings(max_examples=40)
@given(pruning_cases(normalized=True, blocks=[b for b in BLOCKS if b not in ("depthwise", "grouped_convolution")]))
def test_removing_in_two_steps_equals_removing_in_one(pruned):
    """Where every convolution has batch norm and none has groups.

    Without batch norm, what the first step folded into a bias is part of the second step's constant; and a grouped
    convolution of which one channel per group is left has become a depthwise one.
    """
    network, weights, first = pruned
    middle, middle_weights = apply_plan(network, weights, first)
    second = random_plan(middle, seed=1)
    stepwise, stepwise_weights = apply_plan(middle, middle_weights, second)
    both = {i: Keep(keep.filters, tuple(keep.channels[c] for c in second.keep[i].channels))
            for i, keep in first.keep.items()}
    direct, direct_weights = apply_plan(network, weights, Plan("both", {}, network.fingerprint, both))
    assert stepwise.document == direct.document
    for a, b in zip(stepwise_weights.layers, direct_weights.layers, strict=True):
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-5)


@settings(max_examples=15)
@given(pruned=pruning_cases())
def test_the_pair_survives_its_files(pruned, tmp_path_factory):
    network, weights, plan = pruned
    smaller, result = apply_plan(network, weights, plan)
    folder = tmp_path_factory.mktemp("pair")
    write_cfg(folder / "a.cfg", smaller)
    write_weights(folder / "a.weights", smaller, result)
    again = read_network(folder / "a.cfg")
    read = read_weights(folder / "a.weights", again)
    assert again.fingerprint == smaller.fingerprint
    for a, b in zip(result.layers, read.layers, strict=True):
        assert all(a[name].tobytes() == b[name].tobytes() for name in b)


@pytest.mark.parametrize("weighted", ["", "; weights_type=per_channel; weights_normalization=relu",
                                      "; weights_type=per_channel; weights_normalization=softmax",
                                      "; weights_type=per_feature; weights_normalization=softmax"])
@pytest.mark.parametrize(("source", "before"), [(12, 8), (8, 12), (8, 8)])
def test_shortcuts_of_unequal_widths_stay_right(source, before, weighted):
    """Darknet adds the channels that both have; a prefix stays a prefix when tied channels go together."""
    body = (conv(source).replace("pad=1", "pad=0") + conv(5) + conv(before)
            + f"[shortcut]; from=0; activation=mish{weighted}\n" + conv(4))
    network = small_network(body)
    removed = (1, 6)
    extra = (10,)
    plan = plan_without(network, {0: removed + (extra if source > 8 else ()),
                                  2: removed + (extra if before > 8 else ())})
    weights = random_weights(network, 20)
    found = compared(network, weights, plan)
    assert found.offset.exact
    assert found.worst < 1e-9
    assert found.smaller.layers[3].shape.channels == before - 2 - (before > 8)
    if "per_channel" in weighted:
        cut = apply_plan(network, weights, plan)[1].layers[3]["weight"]
        kept = plan.keep[2].channels
        np.testing.assert_array_equal(cut, weights.layers[3]["weight"][:, list(kept)])


def test_a_connected_layer_keeps_its_inputs_and_its_arrays():
    text = ("[net]; width=8; height=8; channels=3\n" + conv(4) + conv(5) + "[connected]; output=3; activation=linear\n")
    network = parse_network(text.replace("; ", "\n"))
    weights = random_weights(network)
    smaller, result = apply_plan(network, weights, plan_without(network, {0: (2,)}))
    assert [layer.shape.channels for layer in smaller.layers] == [3, 5, 3]
    assert result.layers[2] is weights.layers[2]


def test_comments_and_spacing_of_the_cfg_survive():
    text = ("# mine\n[net]\nwidth=8\nheight=8\nchannels=3\n\n[convolutional]\nbatch_normalize = 1\n"
            "filters = 4   # four\nsize=1\nactivation=leaky\n[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
            "[yolo]\nclasses=1\nnum=1\n")
    network = parse_network(text)
    smaller, _ = apply_plan(network, random_weights(network), plan_without(network, {0: (0,)}))
    assert smaller.document.to_bytes().decode() == text.replace("filters = 4 ", "filters = 3 ")


def test_weights_of_another_network_are_refused():
    network, other = small_network(conv(4)), small_network(conv(5))
    with pytest.raises(WeightsError, match="wants"):
        apply_plan(network, random_weights(other), keep_everything(network))


def test_the_beginning_of_a_weights_file_is_refused():
    network = small_network(conv(4))
    weights = random_weights(network)
    prefix = Weights(weights.header, (weights.layers[0], {}, {}), 1)
    with pytest.raises(WeightsError):
        apply_plan(network, prefix, keep_everything(network))


def test_a_plan_for_another_network_is_refused():
    network, other = small_network(conv(4)), small_network(conv(5))
    with pytest.raises(PlanError, match="fingerprints differ"):
        apply_plan(network, random_weights(network), keep_everything(other))
    with pytest.raises(PlanError, match="fingerprints differ"):
        masked_weights(network, random_weights(network), keep_everything(other))


@needs_shared
@pytest.mark.parametrize("folder", REAL, ids=lambda path: path.name)
def test_real_trained_pairs_are_cut_as_they_are_masked_up_to_the_first_approximate_fold(folder):
    network = read_network(folder / "model.cfg").resized(96, 96)
    weights = read_weights(folder / "model.weights", network)
    plan = slim_plan(network, weights, 0.2)
    found = compared(network, weights, plan)
    assert len(found.smaller.layers) == len(network.layers)
    first = min(found.offset.approximate_layers, default=len(network.layers))
    assert all(found.difference(i) < 1e-8 for i in range(first))
    assert found.smaller.parameters < network.parameters


@needs_shared
def test_yolov3_is_cut_in_a_fraction_of_a_second():
    network = case("yolov3")
    weights = initial_weights(network)
    rng = np.random.default_rng(0)
    for arrays in weights.layers:
        if "gamma" in arrays:
            arrays["gamma"][:], arrays["beta"][:] = rng.random(len(arrays["beta"])), rng.normal(size=len(arrays["beta"]))
    plan = slim_plan(network, weights, 0.5)
    start = time.perf_counter()
    smaller, _ = apply_plan(network, weights, plan)
    assert time.perf_counter() - start < 3
    assert smaller.parameters < 0.5 * network.parameters


def test_the_outputs_of_the_last_layer_of_a_headless_network_keep_their_number():
    network: Network = parse_network(("[net]; width=8; height=8; channels=3\n" + conv(6) + conv(4)).replace("; ", "\n"))
    weights = random_weights(network)
    smaller, cut = apply_plan(network, weights, plan_without(network, {0: (1, 3)}))
    assert forward(smaller, cut, random_image(smaller))[-1].shape[1] == 4
