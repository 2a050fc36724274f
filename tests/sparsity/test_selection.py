"""Which gammas are pressed, on networks small enough to see and on all that the generators find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.test_groups import case, conv
from tests.shared import needs_shared
from utils.darknet import Network
from utils.errors import PlanError
from utils.pruning import ClassScores, channel_groups, gamma_importance
from utils.sparsity import pressed_channels

SHORTCUT = "[shortcut]; from=-3; activation=linear\n"


def pressed_or_none(network: Network, prune: int) -> dict[int, np.ndarray]:
    try:
        return pressed_channels(network, prune)
    except PlanError:
        return {}


def test_prune_0_leaves_out_what_a_shortcut_ties_and_keeps_what_lies_between():
    network = small_network(conv(4) + conv(6) + conv(4) + SHORTCUT + conv(5))
    assert sorted(pressed_channels(network, 1)) == [0, 1, 2, 4]
    assert sorted(pressed_channels(network, 0)) == [1, 4]


def test_a_shortcut_of_unequal_widths_ties_only_the_channels_that_both_have():
    network = small_network(conv(4) + conv(6) + "[shortcut]; from=-2; activation=linear\n" + conv(5))
    assert list(pressed_channels(network, 0)[1]) == [False] * 4 + [True] * 2


def test_a_depthwise_convolution_passes_channels_on_and_does_not_tie_them():
    network = small_network(conv(4) + conv(4, 3, groups=4) + conv(5))
    assert sorted(pressed_channels(network, 0)) == sorted(pressed_channels(network, 1)) == [0, 1, 2]


def test_a_depthwise_convolution_inside_a_shortcut_is_tied_with_its_channels():
    network = small_network(conv(4) + conv(6) + conv(4) + conv(4, 3, groups=4)
                            + "[shortcut]; from=-4; activation=linear\n" + conv(5))
    assert sorted(pressed_channels(network, 0)) == [1, 5]


def test_a_channel_that_two_routes_repeat_is_not_tied_to_itself():
    network = small_network(conv(4) + "[route]; layers=-1,-1\n" + conv(5))
    assert sorted(pressed_channels(network, 0)) == [0, 2]


def test_shared_weights_are_neither_pressed_nor_counted_twice():
    network = small_network(conv(4) + conv(4, 3) + conv(4, 3, share_index=1) + conv(7))
    assert list(pressed_channels(network)) == [3]


def test_convolutions_without_batch_norm_have_no_gamma():
    network = small_network(conv(4).replace("batch_normalize=1", "batch_normalize=0") + conv(5))
    assert list(pressed_channels(network)) == [1]


def test_a_network_without_anything_to_press_says_so():
    plain = conv(4).replace("batch_normalize=1", "batch_normalize=0")
    with pytest.raises(PlanError, match="no batch-norm scale to press.*batch_normalize=1"):
        pressed_channels(small_network(plain))
    with pytest.raises(PlanError, match="--prune 1"):
        pressed_channels(small_network(conv(4) + plain.replace("filters=4", "filters=6") + conv(4) + SHORTCUT), 0)


@settings(max_examples=40)
@given(networks())
def test_prune_1_presses_the_statistic_of_slim_pruning(network):
    gammas = gamma_importance(network, random_weights(network))
    classes = ClassScores.of(channel_groups(network), gammas)
    counted = {layer: classes.prunable[classes.groups.vectors[layer]] for layer in gammas}
    pressed = pressed_or_none(network, 1)
    assert {layer: list(flags) for layer, flags in pressed.items()} == {
        layer: list(flags) for layer, flags in counted.items() if flags.any()}


@settings(max_examples=30)
@given(networks(normalized=True))
def test_prune_0_presses_only_channels_that_one_convolution_makes(network):
    groups = channel_groups(network)
    pressed = pressed_or_none(network, 0)
    for layer, flags in pressed_or_none(network, 1).items():
        own = pressed.get(layer, np.zeros(len(flags), dtype=bool))
        for channel in np.flatnonzero(flags):
            makers = {maker for maker, _ in groups.producers_of(groups.vectors[layer][channel])}
            assert own[channel] == (len(makers) <= 1)


@needs_shared
def test_yolov3_presses_all_72_convolutions_or_those_outside_its_shortcuts():
    network = case("yolov3")
    assert len(pressed_channels(network, 1)) == 72
    tied = {layer for chain in channel_groups(network).coupled_layers for layer in chain}
    assert len(tied) == 28
    assert set(pressed_channels(network, 1)) - set(pressed_channels(network, 0)) == tied
