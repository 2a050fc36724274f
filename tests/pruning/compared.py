"""A masked network beside its compact one, both in float64, so that equality can mean 1e-9."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.pruning.reference import forward, random_image
from utils.darknet import Network, Same, Weights, parse_network
from utils.pruning import Offset, Plan, activation_offset, apply_plan, channel_groups, kept_classes, masked_weights
from utils.pruning.constants import depthwise_shift

NET = "[net]\nwidth={width}\nheight={height}\nchannels={channels}\n"
HEAD = "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n[yolo]\nmask=0\nanchors=5,5\nclasses=1\nnum=1\n"


@dataclass(frozen=True)
class Comparison:
    """Outputs of every layer at kept channels: masked[i] and compact[i] have one shape. offset: what was folded."""

    network: Network
    smaller: Network
    masked: list[np.ndarray]
    compact: list[np.ndarray]
    offset: Offset

    def difference(self, index: int, where: tuple[slice, ...] = ()) -> float:
        """Largest difference in a layer, relative to its largest value if that is above 1."""
        a, b = self.masked[index], self.compact[index]
        picture = (slice(None), slice(None), *where)
        return float(np.abs(a[picture] - b[picture]).max() / max(1.0, np.abs(a).max()))

    @property
    def worst(self) -> float:
        """Largest difference in any layer."""
        return max(self.difference(layer.index) for layer in self.network.layers)


def small_network(body: str, *, width: int = 12, height: int = 10, channels: int = 3) -> Network:
    """A cfg's sections between [net] and a head; options may be written `key=value` in one line."""
    sections = body.replace("; ", "\n")
    return parse_network(NET.format(width=width, height=height, channels=channels) + sections + "\n" + HEAD)


def compared(network: Network, weights: Weights, plan: Plan, seed: int = 0) -> Comparison:
    """Run the masked and the compact network on two random images.

    The compact network's float32 arrays are used as they are, except for folded means and biases: those are taken from
    the offset in float64, and checked to be what the float32 ones round.
    """
    groups = channel_groups(network)
    kept = kept_classes(network, groups, plan)
    offset = activation_offset(network, weights, plan)
    smaller, small_weights = apply_plan(network, weights, plan)
    exact = {}
    for index, fold in offset.folds.items():
        name, sign = ("mean", -1) if network.layers[index].options.batch_normalize else ("bias", 1)
        own = kept[groups.vectors[index]]
        folded = (weights.layers[index][name].astype(np.float64) + sign * fold.offset)[own]
        np.testing.assert_array_equal(small_weights.layers[index][name], folded.astype(np.float32))
        exact[index] = {**small_weights.layers[index], name: folded}
    x = random_image(network, seed)
    masked = forward(network, _exactly_masked(network, weights, plan, offset), x)
    compact = forward(smaller, small_weights.with_layers(exact), x)
    keeps = [kept[vector] for vector in groups.vectors]
    for layer, out, keep in zip(network.layers, masked, keeps, strict=True):
        _check_constants(layer.index, out[:, ~keep], offset, keep)
    return Comparison(network, smaller, [out[:, keep] for out, keep in zip(masked, keeps, strict=True)], compact, offset)


def _exactly_masked(network: Network, weights: Weights, plan: Plan, offset: Offset) -> Weights:
    """`masked_weights` with the new beta of padded depthwise convolutions in float64, checked to be what float32 rounds."""
    masked = masked_weights(network, weights, plan)
    exact = {}
    for layer, arrays in zip(network.layers, masked.layers, strict=True):
        if layer.kind == "convolutional" and isinstance(layer.rule, Same) and arrays is not weights.layers[layer.index]:
            name = "beta" if layer.options.batch_normalize else "bias"
            shift = depthwise_shift(layer, offset.read_by(layer), weights.layers[layer.index])
            silent = (arrays["weight"] == 0).all(axis=(1, 2, 3))
            np.testing.assert_array_equal(arrays[name][silent], shift[silent].astype(np.float32))
            exact[layer.index] = {**arrays, name: np.where(silent, shift, arrays[name])}
    return masked.with_layers(exact)


def _check_constants(index: int, removed: np.ndarray, offset: Offset, keep: np.ndarray) -> None:
    """Removed channels of the masked network are the constants that were carried, at every pixel where said so."""
    constant = offset.constants[index]
    assert not constant.values[keep].any()
    exact = constant.exact[~keep]
    expected = np.broadcast_to(constant.values[~keep][exact][:, None, None], removed[:, exact].shape)
    np.testing.assert_allclose(removed[:, exact], expected, rtol=1e-9, atol=1e-9)
