"""Activation statistics against numpy, from a forward pass of their own."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings

from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.measured import measured
from tests.pruning.test_groups import conv
from utils.darknet import IMAGE, Network
from utils.errors import DataError
from utils.pruning.statistics import ActivationStatistics
from utils.training import activation_statistics

module = import_module("utils.training.activation_statistics")  # the room exports the function under the same name


def images_of(network: Network, count: int = 6) -> np.ndarray:
    shape = network.input_shape
    return np.random.default_rng(0).random((count, shape.channels, shape.height, shape.width), dtype=np.float32)


def statistics_of(network: Network, images: np.ndarray, batch: int, seed: int = 0) -> ActivationStatistics:
    batches = (images[start:start + batch] for start in range(0, len(images), batch))
    return activation_statistics(network, random_weights(network), batches, images=len(images), seed=seed)


def same(found: dict[int, np.ndarray], expected: dict[int, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, rtol=1e-4, atol=1e-5 * max(1, np.abs(values).max()))


@settings(max_examples=15)
@given(networks(max_blocks=5))
def test_with_all_positions_they_are_those_of_numpy(network):
    images = images_of(network, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_POSITIONS", 10**9)
        found = statistics_of(network, images, 2)
    expected = measured(network, random_weights(network), images)
    same(found.covariances, expected.covariances)
    same(found.responses, expected.responses)
    same(found.variances, expected.variances)


@pytest.fixture
def network() -> Network:
    block = conv(3) + conv(5, 3) + "[shortcut]; from=-3; activation=linear\n"
    return small_network(conv(5, 3) + block + conv(4), width=48, height=40)


def test_what_is_measured_is_what_is_asked_for(network):
    found = statistics_of(network, images_of(network), 4)
    assert set(found.covariances) == {IMAGE, 0, 1, 3, 4}
    assert set(found.responses) == {0, 1, 2, 4, 5}
    assert set(found.variances) == {0, 2}


def test_how_many_images_come_at_once_does_not_matter_where_all_positions_are_looked_at(network, monkeypatch):
    monkeypatch.setattr(module, "_POSITIONS", 10**9)
    one, all_at_once = (statistics_of(network, images_of(network), batch) for batch in (1, 6))
    for index, values in one.covariances.items():
        np.testing.assert_allclose(values, all_at_once.covariances[index], rtol=1e-6, atol=1e-9)


def test_sampled_covariances_are_near_those_of_all_positions_and_the_rest_is_exact(network, monkeypatch):
    monkeypatch.setattr(module, "_POSITIONS", 3000)
    found, expected = statistics_of(network, images_of(network), 4), measured(network, random_weights(network), images_of(network))
    for index, values in expected.covariances.items():
        scale = np.sqrt(np.outer(values.diagonal(), values.diagonal()))
        assert 1e-6 < np.abs((found.covariances[index] - values) / scale).max() < 0.15
    same(found.responses, expected.responses)
    same(found.variances, expected.variances)


def test_the_sample_follows_the_seed(network, monkeypatch):
    monkeypatch.setattr(module, "_POSITIONS", 300)
    first, again, other = (statistics_of(network, images_of(network), 4, seed).covariances[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_fewer_positions_than_images_are_still_one_of_each_batch(network, monkeypatch):
    monkeypatch.setattr(module, "_POSITIONS", 1)
    found = statistics_of(network, images_of(network), 1)
    assert all(np.isfinite(values).all() for values in found.covariances.values())


def test_constant_images_have_no_variance(network):
    found = statistics_of(network, np.full_like(images_of(network), 0.5), 3)
    assert np.abs(found.covariances[IMAGE]).max() < 1e-9
    assert all((values >= 0).all() for values in found.variances.values())


def test_numbers_that_are_none_are_an_error_that_names_the_layer(network):
    weights = random_weights(network)
    weights = weights.with_layers({1: {**weights.layers[1], "beta": np.full(3, np.nan, np.float32)}})
    with pytest.raises(DataError, match="NaN or infinite on the calibration images"):
        activation_statistics(network, weights, [images_of(network)], images=6)
