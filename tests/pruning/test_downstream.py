"""Importance is handed back from the heads without loss, and split by the variance that each input brings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.generators import networks, random_weights
from tests.pruning.compared import HEAD, small_network
from tests.pruning.measured import measured
from tests.pruning.test_groups import conv
from utils.darknet import IMAGE, Network
from utils.pruning.downstream import downstream_importance
from utils.pruning.statistics import ActivationStatistics


def importance_of(network: Network, seed: int = 0) -> tuple[dict[int, np.ndarray], ActivationStatistics]:
    weights = random_weights(network, seed)
    statistics = measured(network, weights)
    return downstream_importance(network, weights, statistics), statistics


def test_on_a_chain_all_that_the_head_reads_comes_from_each_layer():
    network = small_network(conv(6) + "[maxpool]; size=2; stride=1\n" + conv(4, 3) + "[upsample]; stride=2\n" + conv(5))
    found, _ = importance_of(network)
    for index in (IMAGE, 0, 1, 2, 3, 4, 5):
        assert found[index].sum() == pytest.approx(1)
    np.testing.assert_allclose(found[5], np.full(6, 1 / 6))


def test_two_heads_count_as_much_as_each_other():
    network = small_network(conv(6) + conv(5) + HEAD + "[route]; layers=0\n" + conv(7))
    found, _ = importance_of(network)
    assert found[0].sum() == pytest.approx(2)
    assert found[1].sum() == pytest.approx(1)
    assert found[5].sum() == pytest.approx(1)


def test_a_convolution_hands_on_in_proportion_to_the_variance_that_each_input_brings():
    network = small_network(conv(3))
    weights = random_weights(network)
    statistics = measured(network, weights)
    found = downstream_importance(network, weights, statistics)
    kernel = weights.layers[1]["weight"][:, :, 0, 0].astype(np.float64)
    brought = kernel**2 * statistics.covariances[0].diagonal()
    np.testing.assert_allclose(found[0], (brought / brought.sum(axis=1, keepdims=True)).mean(axis=0))


def test_filters_of_a_group_ask_their_own_group_only():
    network = small_network(conv(4) + conv(6, 3, groups=2) + conv(3))
    found, _ = importance_of(network)
    assert found[0][:2].sum() == pytest.approx(found[1][:3].sum())
    assert found[0][2:].sum() == pytest.approx(found[1][3:].sum())


def test_a_depthwise_convolution_hands_each_channel_what_its_filters_have():
    network = small_network(conv(4) + conv(8, 3, groups=4) + conv(3))
    found, _ = importance_of(network)
    np.testing.assert_allclose(found[0], found[1].reshape(4, 2).sum(axis=1))


def test_a_sum_is_split_by_the_variances_of_its_summands():
    network = small_network(conv(4) + conv(4) + "[shortcut]; from=-2; activation=linear\n" + conv(5))
    found, statistics = importance_of(network)
    share = statistics.variances[1] / (statistics.variances[0] + statistics.variances[1])
    np.testing.assert_allclose(found[1], found[2] * share)
    np.testing.assert_allclose(found[0].sum(), 1)  # what the sum and what the branch hand on


def test_a_narrower_summand_has_no_part_in_the_channels_that_it_lacks():
    network = small_network(conv(3) + conv(5) + "[shortcut]; from=-2; activation=linear\n" + conv(5))
    found, statistics = importance_of(network)
    total = statistics.variances[1] + np.pad(statistics.variances[0], (0, 2))
    np.testing.assert_allclose(found[1], found[2] * statistics.variances[1] / total)
    np.testing.assert_allclose(found[1][3:], found[2][3:])


def test_routes_hand_each_source_its_own_part():
    network = small_network(conv(4) + conv(3) + "[route]; layers=-1,-2\n" + conv(5))
    found, _ = importance_of(network)
    np.testing.assert_allclose(found[1], found[2][:3])
    assert found[0].sum() == pytest.approx(1)


def test_a_route_of_halves_hands_on_to_the_half_that_it_takes():
    network = small_network(conv(6) + "[route]; layers=-1; groups=2; group_id=1\n" + conv(5))
    found, _ = importance_of(network)
    np.testing.assert_allclose(found[0], [0, 0, 0, *found[1]])


def test_both_factors_of_a_product_matter_as_much_as_the_product():
    network = small_network(conv(4) + "[avgpool]\n" + conv(3) + conv(4) + "[scale_channels]; from=0; activation=linear\n"
                            + conv(5))
    found, _ = importance_of(network)
    np.testing.assert_allclose(found[3], found[4])
    assert found[0].sum() == pytest.approx(2)


@settings(max_examples=30)
@given(networks())
def test_importance_is_a_finite_number_that_is_not_negative(network):
    found, _ = importance_of(network)
    for layer in network.layers:
        assert found[layer.index].shape == (layer.shape.channels,)
    assert all(np.isfinite(values).all() and (values >= 0).all() for values in found.values())
