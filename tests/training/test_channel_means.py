"""Measured channel means: those of every map of a forward pass, and what a fold with them is good for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import forward, heads
from tests.pruning.test_groups import conv
from tests.pruning.test_offset import act_conv, plan_without
from utils.darknet import Weights
from utils.pruning import Plan, activation_offset, apply_plan, carried_out
from utils.training import channel_means


def pictures(network, count: int = 6, seed: int = 0) -> np.ndarray:
    shape = network.input_shape
    return np.random.default_rng(seed).random((count, shape.channels, shape.height, shape.width), dtype=np.float32)


@settings(max_examples=20)
@given(networks())
def test_they_are_the_means_of_every_map_over_images_and_pixels(network):
    weights, images = random_weights(network), pictures(network, 3)
    found = channel_means(network, weights, [images])
    expected = forward(network, weights, images)
    assert set(found) == {layer.index for layer in network.layers if not layer.is_head}
    for index, means in found.items():
        assert means.dtype == np.float64
        mean = expected[index].mean(axis=(0, 2, 3))
        np.testing.assert_allclose(means, mean, atol=1e-5 * max(1, np.abs(expected[index]).max()))


def test_batches_of_any_size_count_by_their_images():
    network = small_network(conv(4, 3) + "[avgpool]\n" + conv(3))
    weights, images = random_weights(network), pictures(network, 5)
    once, twice = (channel_means(network, weights, parts) for parts in ([images], [images[:1], images[1:]]))
    for index in once:
        np.testing.assert_allclose(twice[index], once[index], rtol=1e-5, atol=1e-6)
    assert channel_means(network, weights, []) == {}


def skewed(fold_activation: str = "relu"):
    """A channel that is removed, whose mean over these images is far from act(beta): its batch norm's own mean is off."""
    network = small_network(act_conv(4, fold_activation) + act_conv(3, "linear") + act_conv(3, "linear", 3, pad=1))
    weights = random_weights(network, 21)
    weights.layers[0]["mean"][:] = 0
    weights.layers[0]["weight"][1] = 2  # of images in [0, 1]: about 3 where beta says -2
    weights.layers[0]["beta"][1] = -2
    weights.layers[0]["gamma"][1], weights.layers[0]["var"][1] = 1, 1
    return network, weights, plan_without(network, {0: (1,)})


def test_measured_means_keep_the_mean_of_the_head_where_beta_and_the_formula_cannot_know():
    network, weights, plan = skewed()
    images = pictures(network)
    means = channel_means(network, weights, [images])
    before = heads(network, weights, images)[0]
    errors = {}
    for name, fold, measured in (("beta", "beta", None), ("formula", "mean", None), ("measured", "mean", means)):
        after = heads(*apply_plan(network, weights, plan, fold, measured), images)[0]
        errors[name] = float(np.square(after - before).mean())
    assert errors["measured"] < 0.5 * min(errors["beta"], errors["formula"])


def test_behind_a_1x1_kernel_no_other_constant_has_a_smaller_error():
    """The mean is the constant of least squares; either side of it is worse."""
    network, weights, plan = skewed("mish")
    images = pictures(network)
    means = channel_means(network, weights, [images])
    before = forward(network, weights, images)[1]

    def error(shift: float) -> float:
        moved = {**means, 0: means[0] + shift}
        return float(np.square(forward(*apply_plan(network, weights, plan, "mean", moved), images)[1] - before).sum())

    assert error(0) < min(error(-0.05), error(0.05))


@pytest.mark.parametrize("fold", ["mean", "exact-mean"])
def test_the_constant_of_a_removed_channel_is_its_measured_mean_wherever_it_goes(fold):
    body = (conv(6, 3) + conv(6, 3) + "[shortcut]; from=-2; activation=leaky\n[maxpool]; size=2; stride=2\n"
            "[upsample]; stride=2\n[route]; layers=-1,2\n" + conv(4, 3))
    network = small_network(body)
    weights = random_weights(network, 4)
    plan = plan_without(network, {0: (1, 4), 1: (1, 4)})
    means = channel_means(network, weights, [pictures(network)])
    offset = activation_offset(network, weights, plan, fold, means)
    for index in range(6):
        removed = np.tile(np.isin(np.arange(6), (1, 4)), 2 if index == 5 else 1)
        np.testing.assert_array_equal(offset.constants[index].values, np.where(removed, means[index], 0))


def test_measured_means_are_carried_past_padding_like_any_other_constant():
    network = small_network(conv(6, 3) + act_conv(5, "linear", 3, pad=1))
    weights = random_weights(network, 5)
    plan = plan_without(network, {0: (1, 2, 4)})
    means = channel_means(network, weights, [pictures(network)])
    images = pictures(network, 2, seed=9)
    silent = forward(network, weights, images)[0]
    silent[:, [1, 2, 4]] = means[0][[1, 2, 4]][:, None, None]
    tail = small_network(act_conv(5, "linear", 3, pad=1), channels=6)
    expected = forward(tail, Weights(weights.header, weights.layers[1:], len(weights.layers) - 1), silent)[0]
    smaller, cut = apply_plan(network, weights, plan, "exact-mean", means)
    assert smaller.layers[0].shape.channels == 4
    np.testing.assert_allclose(forward(smaller, cut, images)[1], expected, atol=1e-5)
    assert np.abs(forward(*apply_plan(network, weights, plan, "mean", means), images)[1] - expected).max() > 1e-2


def test_where_only_a_block_goes_its_measured_mean_gets_a_spare_channel_for_its_carrier():
    body = conv(6, 3) + conv(4) + conv(6, 3) + "[shortcut]; from=-3; activation=linear\n" + act_conv(5, "linear", 3, pad=1)
    network = small_network(body)
    weights = random_weights(network, 6)
    plan = Plan("layer", {}, network.fingerprint, {}, (3,))
    images = pictures(network)
    means = channel_means(network, weights, [images])
    worked_out = carried_out(network, weights, plan, "exact-mean", means)
    assert worked_out.blank.sum() == 1
    assert not worked_out.approximate_layers
    smaller, cut = apply_plan(network, weights, plan, "exact-mean", means)
    plain, folded = apply_plan(network, weights, plan, "mean", means)
    assert smaller.layers[0].shape.channels == plain.layers[0].shape.channels + 1 == 7
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    carried, summed = forward(smaller, cut, images)[1], forward(plain, folded, images)[1]
    np.testing.assert_allclose(carried[inside], summed[inside], atol=1e-5)
    assert np.abs(carried - summed).max() > 1e-2
