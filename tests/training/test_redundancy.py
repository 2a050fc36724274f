"""Channels that others can stand in for exactly are removed without loss, whatever lies between them and their readers."""

from __future__ import annotations

import pytest

from tests.generators import random_weights
from tests.pruning.compared import small_network
from tests.pruning.measured import REDUNDANCIES, planted, with_redundancy
from tests.pruning.test_offset import act_conv, plan_without
from tests.training.test_reconstruction import images_of, lost
from utils.darknet import Network, Weights
from utils.pruning import apply_plan
from utils.training.reconstruction import Reconstruction, reconstructed


def recovered(network: Network, weights: Weights, removed: dict[int, tuple[int, ...]], worst: float = 1e-5) -> Reconstruction:
    """Remove channels, repair, and see that the heads are what they were; without the repair they are not."""
    plan = plan_without(network, removed)
    found = reconstructed(network, weights, plan, images_of(network))
    assert lost(network, weights, found) < worst
    folded = Reconstruction(*apply_plan(network, weights, plan), {}, ())
    assert lost(network, weights, folded) > 1e-3
    assert found.residual < 1e-8
    return found


@pytest.mark.parametrize("kind", REDUNDANCIES)
def test_redundant_channels_are_removed_without_loss_before_1x1_and_padded_3x3_kernels(kind):
    network, weights, _ = planted(kind)
    found = recovered(network, weights, {1: (2,), 2: (2,)})
    assert set(found.layers) == {2, 3, 4}
    assert all(one.residual <= one.before for one in found.layers.values())
    assert found.layers[2].residual < 1e-8 < 1e-3 < found.layers[2].before


@pytest.mark.parametrize("kind", ["scaled", "sum"])
def test_and_through_shortcuts_routes_and_poolings(kind):
    c = lambda filters, size=1: act_conv(filters, REDUNDANCIES[kind], size, size // 2)  # noqa: E731
    pool = "" if kind == "sum" else "[maxpool]; size=3; stride=1\n"  # the maximum of a sum is no sum of maxima
    network = small_network(c(6, 3) + c(4) + c(6, 3) + "[shortcut]; from=-3; activation=linear\n" + pool
                            + c(6) + "[route]; layers=-1,3\n" + "[upsample]; stride=2\n" + c(5, 3), width=24, height=20)
    own = 5 if pool else 4
    weights = with_redundancy(random_weights(network, 3), (0, 2, own), kind)
    recovered(network, weights, {0: (2,), 2: (2,), own: (2,)})


def test_and_before_grouped_convolutions():
    network = small_network(act_conv(8, "leaky") + act_conv(6, "leaky", 3, 1, groups=2) + act_conv(5, "mish"),
                            width=24, height=20)
    weights = with_redundancy(random_weights(network, 4), (0, 1), "scaled")
    arrays = {name: array.copy() for name, array in weights.layers[0].items()}
    for array in arrays.values():
        array[6] = array[7]  # the other group needs a twin, too
    recovered(network, weights.with_layers({0: arrays}), {0: (2, 6)})


@pytest.mark.parametrize("multiplier", [1, 2])
def test_and_with_depthwise_convolutions_between(multiplier):
    network = small_network(act_conv(6, "leaky") + act_conv(6 * multiplier, "leaky", 3, 1, groups=6) + act_conv(5, "mish"),
                            width=24, height=20)
    weights = with_redundancy(random_weights(network, 5), (0,), "duplicate")
    arrays = {name: array.copy() for name, array in weights.layers[1].items()}
    for array in arrays.values():
        array[2 * multiplier:3 * multiplier] = array[:multiplier]
    gone = tuple(range(2 * multiplier, 3 * multiplier))
    found = recovered(network, weights.with_layers({1: arrays}), {0: (2,), 1: gone})
    assert set(found.layers) == {2, 3}


def test_and_with_squeeze_and_excite():
    network = small_network(act_conv(6, "leaky", 3, 1) + "[avgpool]\n" + act_conv(4, "relu") + act_conv(6, "logistic")
                            + "[scale_channels]; from=0; activation=linear\n" + act_conv(5, "leaky"), width=24, height=20)
    weights = with_redundancy(random_weights(network, 6), (0, 3), "duplicate")
    plan = plan_without(network, {0: (2,), 3: (2,)})
    found = reconstructed(network, weights, plan, images_of(network, 64))
    assert lost(network, weights, found) < 1e-5
