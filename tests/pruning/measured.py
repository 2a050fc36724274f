"""Statistics of a network's activations from the float64 forward pass of these tests, and networks with planted redundancy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
import torch.nn.functional as F

from tests.generators import random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import forward, random_image
from tests.pruning.test_offset import act_conv
from utils.darknet import IMAGE, Fresh, Layer, Network, Weights
from utils.pruning.statistics import ActivationStatistics


def measured(network: Network, weights: Weights, images: np.ndarray | None = None) -> ActivationStatistics:
    """What `utils.training.activation_statistics` measures, at all positions of the images."""
    images = random_image(network) if images is None else images
    maps = {IMAGE: np.asarray(images, dtype=np.float64), **dict(enumerate(forward(network, weights, images)))}
    read = {layer.inputs[0] for layer in network.layers if isinstance(layer.rule, Fresh)}
    summands = {source for layer in network.layers if layer.kind == "shortcut" for source in layer.inputs}
    responses = {layer.index: _rows(_before_norm(layer, weights.layers[layer.index], maps[layer.inputs[0]])).var(axis=1)
                 for layer in network.layers if layer.kind == "convolutional"}
    return ActivationStatistics({index: np.atleast_2d(np.cov(_rows(maps[index]), bias=True)) for index in read}, responses,
                                {index: _rows(maps[index]).var(axis=1) for index in summands})


def _rows(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)


def _before_norm(layer: Layer, arrays: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    o = layer.options
    kernel = torch.from_numpy(arrays["weight"].astype(np.float64))
    stride = (1, 1) if o.antialiasing else (o.stride_y, o.stride_x)
    return F.conv2d(torch.from_numpy(x), kernel, None, stride, o.padding * o.dilation, o.dilation, o.groups).numpy()


# What makes channel 2 redundant, with the activation that lets it through: a twin of channel 0, of another size, or a sum.
REDUNDANCIES = {"duplicate": "mish", "scaled": "leaky", "sum": "linear"}


def with_redundancy(weights: Weights, layers: Iterable[int], kind: str) -> Weights:
    """Make channel 2 of these convolutions with batch norm an exact linear function of channels 0 and 4."""
    changes = {}
    for index in layers:
        arrays = {name: array.astype(np.float64) for name, array in weights.layers[index].items()}
        if kind == "sum":
            scale = (arrays["gamma"] / np.sqrt(arrays["var"] + 1e-5))[[0, 4]]
            for name in ("weight", "mean"):
                arrays[name][2] = np.tensordot(scale, arrays[name][[0, 4]], axes=1)
            arrays["beta"][2] = arrays["beta"][[0, 4]].sum()
            arrays["gamma"][2], arrays["var"][2] = np.sqrt(1 + 1e-5), 1.0
        else:
            for name, array in arrays.items():
                array[2] = array[0] * (2 if kind == "scaled" and name in ("gamma", "beta") else 1)
        changes[index] = {name: array.astype(np.float32) for name, array in arrays.items()}
    return weights.with_layers(changes)


def planted(kind: str) -> tuple[Network, Weights, dict[int, tuple[int, ...]]]:
    """Two convolutions with a redundant channel each, read by a 1x1 and by a padded 3x3 kernel.

    The last is {layer: channels}, of which one can go without any loss.
    """
    activation = REDUNDANCIES[kind]
    body = act_conv(6, "leaky", 3, 1) + act_conv(7, activation) + act_conv(7, activation, 3, 1) + act_conv(8, "leaky")
    network = small_network(body, width=24, height=20)
    members = (0, 2, 4) if kind == "sum" else (0, 2)
    return network, with_redundancy(random_weights(network, 8), (1, 2), kind), {1: members, 2: members}
