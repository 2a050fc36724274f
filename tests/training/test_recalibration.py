"""Batch-norm recalibration: statistics of the images, and nothing else that changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import forward
from tests.pruning.test_groups import conv
from tests.training.test_channel_means import pictures
from utils.darknet import Weights, parse_network
from utils.errors import DataError
from utils.training import recalibrated

PLAIN = "[convolutional]; filters=4; size=3; pad=1; activation=linear\n"


def before_norm(network, weights, images: np.ndarray) -> np.ndarray:
    """What the first batch norm of a network reads, (N, C, H, W): its kernel alone."""
    text = network.document.to_bytes().decode().replace("batch_normalize=1", "batch_normalize=0")
    bare = parse_network(text.replace("activation=leaky", "activation=linear"))
    first = {"weight": weights.layers[0]["weight"], "bias": np.zeros(len(weights.layers[0]["weight"]), np.float32)}
    rest = random_weights(bare).layers[1:]
    return forward(bare, Weights(weights.header, (first, *rest), len(rest) + 1), images)[0]


def test_the_statistics_of_the_first_batch_norm_are_those_of_the_images():
    network = small_network(conv(5, 3) + conv(4, 3))
    weights, images = random_weights(network), pictures(network)
    read = before_norm(network, weights, images)
    found = recalibrated(network, weights, [images]).layers[0]
    np.testing.assert_allclose(found["mean"], read.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["var"], read.var(axis=(0, 2, 3), ddof=1), rtol=1e-4)


def test_a_later_batch_norm_reads_what_the_earlier_ones_make_of_the_same_images():
    network = small_network(conv(5, 3) + conv(4, 3))
    weights, images = random_weights(network), pictures(network)
    found = recalibrated(network, weights, [images])
    n = images.shape[0] * images.shape[2] * images.shape[3]
    own = {**found.layers[0], "var": found.layers[0]["var"] * np.float32((n - 1) / n)}  # in training: without the -1
    read = forward(network, weights.with_layers({0: own}), images)[0]
    second = small_network(conv(4, 3), channels=5)
    tail = Weights(weights.header, weights.layers[1:], len(weights.layers) - 1)
    read = before_norm(second, tail, read)
    np.testing.assert_allclose(found.layers[1]["mean"], read.mean(axis=(0, 2, 3)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.layers[1]["var"], read.var(axis=(0, 2, 3), ddof=1), rtol=1e-3)


@settings(max_examples=20)
@given(networks())
def test_all_but_means_and_variances_stays_bit_for_bit(network):
    weights = random_weights(network)
    before = [{name: array.tobytes() for name, array in arrays.items()} for arrays in weights.layers]
    found = recalibrated(network, weights, [pictures(network, 4)])
    for given_, old, new in zip(before, weights.layers, found.layers, strict=True):
        assert old.keys() == new.keys()
        assert all(array.tobytes() == given_[name] for name, array in old.items()), "what was given is not touched"
        assert all(new[name] is array for name, array in old.items() if name not in ("mean", "var"))
        if "mean" in old:
            assert not np.array_equal(new["mean"], old["mean"])
            assert np.isfinite(new["var"]).all()
            assert (new["var"] >= 0).all()
    assert found.header == weights.header


@pytest.mark.parametrize("sizes", [(6,), (1,) * 6, (4, 2), (5, 1)])
def test_every_image_counts_once_however_they_come_in_batches(sizes):
    network = small_network(conv(5, 3))
    weights, images = random_weights(network), pictures(network)
    batches = np.split(images, np.cumsum(sizes)[:-1])
    found = recalibrated(network, weights, batches).layers[0]
    parts = [before_norm(network, weights, batch) for batch in batches]
    share = np.array(sizes) / 6
    np.testing.assert_allclose(found["mean"], share @ np.stack([p.mean(axis=(0, 2, 3)) for p in parts]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["var"], share @ np.stack([p.var(axis=(0, 2, 3), ddof=1) for p in parts]), rtol=1e-4)


def test_what_was_measured_before_is_forgotten():
    network = small_network(conv(5, 3) + conv(4))
    weights, images = random_weights(network), pictures(network)
    odd = weights.with_layers({0: {**weights.layers[0], "mean": np.full(5, 1e6, np.float32)}})
    for one, other in zip(recalibrated(network, weights, [images]).layers, recalibrated(network, odd, [images]).layers,
                          strict=True):
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.parametrize("pixel", ["[avgpool]\n" + conv(3) + "[scale_channels]; from=0\n" + conv(4),
                                   "[avgpool]\n[batchnorm]\n[scale_channels]; from=0\n" + conv(4)])
def test_maps_of_one_pixel_need_two_images_in_a_batch(pixel):
    squeezed = pixel.replace("filters=3", "filters=4")
    network = small_network(conv(4) + squeezed)
    weights, images = random_weights(network), pictures(network)
    with pytest.raises(DataError, match="too few images to measure batch norms on; give 2 or more in a batch"):
        recalibrated(network, weights, [images[:1], images[1:2]])
    both = recalibrated(network, weights, [images[:5], images[5:]])
    without = recalibrated(network, weights, [images[:5]])
    for one, other in zip(both.layers, without.layers, strict=True):
        assert all(one[name].tobytes() == other[name].tobytes() for name in one), "the last image is left out"


def test_one_image_is_enough_for_larger_maps_and_none_is_not():
    network = small_network(conv(5, 3))
    weights, images = random_weights(network), pictures(network, 1)
    found = recalibrated(network, weights, [images]).layers[0]
    np.testing.assert_allclose(found["mean"], before_norm(network, weights, images).mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-6)
    with pytest.raises(DataError, match="too few images to measure batch norms on; give 1 or more"):
        recalibrated(network, weights, [])


def test_a_network_without_batch_norm_is_given_back():
    network = small_network(PLAIN)
    weights = random_weights(network)
    assert recalibrated(network, weights, [pictures(network)]) is weights


def test_convolutions_that_share_their_batch_norm_are_measured_together():
    network = small_network(conv(3, 3) + conv(3, 3, share_index=0))
    weights, images = random_weights(network), pictures(network)
    found = recalibrated(network, weights, [images])
    alone = recalibrated(small_network(conv(3, 3)), random_weights(small_network(conv(3, 3))).with_layers(
        {0: weights.layers[0]}), [images])
    assert found.layers[1].keys() == weights.layers[1].keys()
    assert not np.allclose(found.layers[0]["mean"], alone.layers[0]["mean"], rtol=1e-3)
