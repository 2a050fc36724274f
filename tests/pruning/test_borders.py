"""The border behind a plain fold is wrong by a known amount: the constants times the taps that lie outside the map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings

from tests.generators import pruning_cases, random_weights
from tests.pruning.compared import Comparison, compared
from utils.darknet import Fresh, Network, Weights, parse_network
from utils.darknet.builder import ARCHITECTURES, build_cfg
from utils.pruning import Plan, channel_groups, kept_classes, plan_of
from utils.pruning.constants import BN_EPSILON


def taps_outside(found: Comparison, weights: Weights, index: int) -> np.ndarray:
    """By how much the masked convolution is above the folded one before its activation, float64 (kept filters, H, W).

    The masked one adds, at each pixel, its kernel's taps times the constants, as far as they lie inside; the folded one
    adds all of them everywhere.
    """
    layer, arrays = found.network.layers[index], weights.layers[index]
    options, shape = layer.options, layer.input_shapes[0]
    constants = torch.from_numpy(found.offset.read_by(layer).values)[None, :, None, None]
    kernel = torch.from_numpy(arrays["weight"].astype(np.float64))
    stride = (options.stride_y, options.stride_x)
    inside = F.conv2d(constants.expand(1, -1, shape.height, shape.width), kernel, None, stride, options.padding, 1,
                      options.groups)
    everywhere = F.conv2d(constants, kernel.sum((2, 3), keepdim=True), None, 1, 0, 1, options.groups)
    error = (inside - everywhere)[0].numpy()
    if options.batch_normalize:
        scale = arrays["gamma"].astype(np.float64) / np.sqrt(arrays["var"].astype(np.float64) + BN_EPSILON)
        error *= scale[:, None, None]
    return error


def check_first_border(network: Network, weights: Weights, plan: Plan) -> bool:
    """Compare the first approximate layer, a linear one; False where there is none of that kind."""
    found = compared(network, weights, plan)
    index = min(found.offset.approximate_layers, default=None)
    layer = None if index is None else network.layers[index]
    if layer is None or not isinstance(layer.rule, Fresh) or not found.offset.read_by(layer).exact.all():
        return False
    groups = channel_groups(network)
    own = kept_classes(network, groups, plan)[groups.vectors[index]]
    expected = taps_outside(found, weights, index)[own]
    error = found.masked[index] - found.compact[index]
    np.testing.assert_allclose(error, np.broadcast_to(expected, error.shape), rtol=1e-9, atol=1e-9)
    return bool(np.abs(expected).max() > 1e-3)


@settings(max_examples=40)
@given(pruning_cases(activations=("linear",)))
def test_the_first_border_of_any_network_is_wrong_by_the_taps_outside(case):
    assume(check_first_border(*case))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_behind_any_group_of_channels_of_an_architecture_the_border_is_wrong_by_the_taps_outside(name):
    text = build_cfg(name, width_multiple=0.1, width=32, height=32, classes=1)
    for activation in ("leaky", "mish", "swish"):
        text = text.replace(f"activation={activation}", "activation=linear")
    network = parse_network(text)
    weights, groups = random_weights(network, 3), channel_groups(network)
    padded = [layer for layer in network.layers if layer.kind == "convolutional" and layer.options.padding]
    read = np.unique(np.concatenate([groups.vector(layer.inputs[0]) for layer in padded]))
    halves = np.concatenate([np.empty(0, int), *(balance.classes for balance in groups.balances)])
    free = read[~groups.fixed[read] & ~np.isin(read, halves)]  # of halves two would have to go at once
    checked = 0
    for class_id in np.random.default_rng(4).choice(free, 8, replace=False):
        kept = np.ones(groups.count, dtype=bool)
        kept[class_id] = False
        checked += check_first_border(network, weights, plan_of(network, groups, kept, "one", {}))
    assert checked >= 4
