"""Two rounds of pruning: what is cut in two steps equals what is cut in one, channels and residual blocks alike."""

from __future__ import annotations

import collections

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_plan, random_weights
from tests.pruning.reference import heads, random_image
from utils.darknet import Network
from utils.errors import PlanError
from utils.pruning import CarriedOut, Keep, Plan, apply_plan, carried_out, residual_blocks
from utils.pruning.selection import chosen_blocks, removed_layers


def plan_with_blocks(network: Network, seed: int, share: float, blocks: bool) -> Plan:
    """A random plan; with `blocks` it also removes each residual block with a chance of one half."""
    plan = random_plan(network, seed, share)
    if not blocks:
        return plan
    rng = np.random.default_rng(seed)
    chosen = tuple(block.shortcut for block in residual_blocks(network) if rng.random() < 0.5)
    gone = removed_layers(chosen_blocks(network, chosen))
    return Plan("random", {}, plan.fingerprint, {i: k for i, k in plan.keep.items() if i not in gone}, chosen)


def both_rounds(first: CarriedOut, second: Plan) -> Plan:
    """One plan of the network of the first round that removes what the two rounds remove.

    What was cut in the second round's numbering is counted among what stayed.
    """
    removed = removed_layers(chosen_blocks(first.network, first.blocks))
    stayed = [layer.index for layer in first.network.layers if layer.index not in removed]
    blocks = (*first.blocks, *(stayed[block] for block in second.blocks))
    removed = removed_layers(chosen_blocks(first.network, blocks))
    keep = {}
    for layer in (layer for layer in first.network.layers if layer.kind == "convolutional" and layer.index not in removed):
        vector = first.groups.vectors[layer.index]
        flags = first.kept[vector]
        flags[flags | first.blank[vector]] &= second.keep[stayed.index(layer.index)].flags
        keep[layer.index] = Keep.of_flags(flags)
    return Plan("both", {}, first.network.fingerprint, keep, blocks)


def folds_into_removed_biases(first: CarriedOut, second: Plan) -> bool:
    """Whether the second round removes a channel without batch norm whose bias took a constant in: it is the channel's own
    from then on, and one step would not know of it."""
    removed = removed_layers(chosen_blocks(first.network, first.blocks))
    stayed = [layer.index for layer in first.network.layers if layer.index not in removed]
    return any(fold.offset.any() and not first.network.layers[index].options.batch_normalize
               and not second.keep.get(stayed.index(index), Keep.all(1)).is_whole
               for index, fold in first.folds.items() if index not in removed)


def compare_rounds(network: Network, seed: int, share: float, blocks: bool, fold: str) -> str | None:
    """Cut twice, and once; returns what was removed, or None where one plan cannot say what two did, or a round is approximate."""
    weights = random_weights(network, seed)
    plan = plan_with_blocks(network, seed, share, blocks)
    first = carried_out(network, weights, plan, fold)  # its network has adders in the place of some blocks
    middle, middle_weights = apply_plan(network, weights, plan, fold)
    second = plan_with_blocks(middle, seed + 1, 0.5, blocks)
    if folds_into_removed_biases(first, second):
        return None
    stepwise = apply_plan(middle, middle_weights, second, fold)
    try:
        both = both_rounds(first, second)
        direct = apply_plan(first.network, first.weights, both, fold)
    except PlanError:  # a carrier had made a block of a route even, or was a layer's last channel
        return None
    rounds = (first, carried_out(middle, middle_weights, second, fold), carried_out(first.network, first.weights, both, fold))
    if any(one.approximate_layers for one in rounds):  # a plain fold at a border
        assert fold == "beta"
        return None
    x = random_image(network)
    for a, b in zip(heads(*direct, x), heads(*stepwise, x), strict=True):
        np.testing.assert_allclose(b, a, atol=1e-5 * max(1.0, np.ptp(a)))
    return f"{'blocks' if plan.blocks else 'channels'} and {'blocks' if second.blocks else 'channels'}"


@settings(max_examples=50)
@given(networks(), st.integers(0, 99), st.sampled_from([0.2, 0.5, 0.8]), st.sampled_from(["beta", "exact"]))
def test_channels_cut_in_two_steps_are_cut_in_one(network, seed, share, fold):
    assume(compare_rounds(network, seed, share, False, fold))


def test_blocks_and_channels_cut_in_two_steps_are_cut_in_one():
    often = ("residual",) * 3 + ("nested_residual",) * 3 + ("convolution", "concat", "spp", "maxpool", "unequal_shortcut",
                                                            "depthwise", "squeeze_excite", "block_of_halves")
    seen: collections.Counter[str | None] = collections.Counter()

    @settings(max_examples=60)
    @given(networks(blocks=often, normalized=True, activations=("linear",) * 4 + ("leaky",)), st.integers(0, 99), st.sampled_from([0.0, 0.5]))
    def compare(network, seed, share):
        assume(len(residual_blocks(network)) > 1)
        seen[compare_rounds(network, seed, share, True, "exact")] += 1

    compare()
    assert seen["blocks and blocks"] > 3
    assert seen["blocks and channels"] > 3
    assert seen[None] < sum(seen.values()) / 2
