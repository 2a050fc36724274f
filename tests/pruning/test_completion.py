"""Completing a choice of channels: it only adds, it ends, and the network can follow the result."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import networks
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.pruning import channel_groups, check_kept, completed


@settings(max_examples=60)
@given(networks(), st.integers(0, 2**31), st.floats(0, 1), st.sampled_from([1, 2, 3, 8]))
def test_any_choice_becomes_one_that_the_network_can_follow(network, seed, share, round_to):
    groups = channel_groups(network)
    rng = np.random.default_rng(seed)
    chosen, scores = rng.random(groups.count) >= share, rng.random(groups.count)
    kept = completed(network, groups, chosen, scores, round_to=round_to)
    check_kept(network, groups, kept)
    assert kept[chosen].all()
    assert (completed(network, groups, kept, scores, round_to=round_to) == kept).all()
    for layer in network.layers:
        if layer.kind == "convolutional":
            count = int(kept[groups.vectors[layer.index]].sum())
            assert count % round_to == 0 or count == layer.shape.channels


def test_widths_are_filled_up_by_the_best_scores_and_never_beyond_the_layer():
    network = small_network(conv(6) + conv(3))
    groups = channel_groups(network)
    scores = np.zeros(groups.count)
    scores[groups.vectors[0]] = [5, 1, 4, 2, 3, 0]
    chosen = np.zeros(groups.count, dtype=bool)
    kept = completed(network, groups, chosen, scores, round_to=4)
    assert kept[groups.vectors[0]].tolist() == [True, False, True, True, True, False]
    assert kept[groups.vectors[1]].all()  # 3 is below 4: the whole layer


def test_a_choice_that_would_make_darknet_read_past_a_source_gets_one_channel_more():
    """Layer 1 has 8 channels and reads 16; cut to 12 they would equal the sum's 12."""
    network = small_network(conv(16) + conv(8) + conv(12) + "[shortcut]; from=1; activation=linear\n" + conv(4))
    groups = channel_groups(network)
    chosen = np.ones(groups.count, dtype=bool)
    chosen[groups.vectors[0][12:]] = False
    kept = completed(network, groups, chosen, np.arange(groups.count, dtype=float))
    check_kept(network, groups, kept)
    assert kept[groups.vectors[0]].sum() == 13
    assert kept[groups.vectors[0][15]]


def test_a_class_that_stands_in_a_layer_several_times_counts_as_often():
    """reorg3d repeats each channel four times; the sum ties its 8 channels to two classes."""
    body = conv(2) + "[reorg3d]; stride=2\n" + conv(8) + "[shortcut]; from=1; activation=linear\n" + conv(4)
    network = small_network(body)
    groups = channel_groups(network)
    chosen = np.zeros(groups.count, dtype=bool)
    kept = completed(network, groups, chosen, np.arange(groups.count, dtype=float), round_to=2)
    assert kept[groups.vectors[2]].sum() == 8
    kept = completed(network, groups, chosen, np.arange(groups.count, dtype=float))
    assert kept[groups.vectors[2]].tolist() == [False, True] * 4
