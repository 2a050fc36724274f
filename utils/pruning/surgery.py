"""Surgery: a network and its weights after a plan, as pure functions of the three."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from utils.darknet import Fresh, Layer, Network, Same, Weights, check_arrays
from utils.pruning.groups import ChannelGroups, channel_groups
from utils.pruning.offset import Fold, offset_of_classes
from utils.pruning.plan import Plan
from utils.pruning.selection import kept_classes

Arrays = Mapping[str, np.ndarray]


def apply_plan(network: Network, weights: Weights, plan: Plan) -> tuple[Network, Weights]:
    """Cut the channels that a plan removes, and fold the constants that they emitted into what reads them.

    The result computes what `masked_weights` computes, except near the border behind padded kernels (see offset.py).
    Nothing given is changed; arrays that no channel was cut from are shared with `weights`. The cfg's text changes in
    `filters=` (and `groups=` of depthwise convolutions) only. The header's `seen` becomes 0, or Darknet would end the
    fine-tuning at once. A plan that keeps everything changes no other byte.

    Raises:
        PlanError: the plan does not belong to the network, or cannot be followed (see `kept_classes`).
        WeightsError: the weights do not belong to the network, or are the beginning of a file only.
    """
    check_arrays(network, weights)
    groups = channel_groups(network)
    kept = kept_classes(network, groups, plan)
    folds = offset_of_classes(network, weights, groups, kept).folds
    changes: dict[int, dict[str, str]] = {}
    layers: list[Arrays] = []
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        cut = _Cut.of(layer, groups, kept)
        if layer.kind == "convolutional" and not cut.out.all():
            changes[layer.index] = _options(layer, cut)
        layers.append(_cut_arrays(layer, arrays, cut, folds.get(layer.index)))
    smaller = network.with_options(changes) if changes else network
    result = Weights(replace(weights.header, seen=0), tuple(layers), weights.held)
    check_arrays(smaller, result)
    return smaller, result


def masked_weights(network: Network, weights: Weights, plan: Plan) -> Weights:
    """Weights of full width in which the removed channels are constants: what `apply_plan` cuts, before the cut.

    Where a convolution makes a removed channel its gamma becomes 0, or its kernel without batch norm; beta and bias
    stay. Depthwise convolutions keep their gamma: what they read is constant already. Other arrays are shared.

    Raises:
        PlanError, WeightsError: as `apply_plan`.
    """
    check_arrays(network, weights)
    groups = channel_groups(network)
    kept = kept_classes(network, groups, plan)
    changes: dict[int, Arrays] = {}
    for index in groups.producers:
        removed = ~kept[groups.vectors[index]]
        if removed.any():
            arrays = weights.layers[index]
            name = "gamma" if "gamma" in arrays else "weight"
            masked = arrays[name].copy()
            masked[removed] = 0
            changes[index] = {**arrays, name: masked}
    return weights.with_layers(changes)


@dataclass(frozen=True, eq=False)
class _Cut:
    """Which channels of a layer's output and of its first input stay; bool, shape (C,) each."""

    out: np.ndarray
    read: np.ndarray

    @classmethod
    def of(cls, layer: Layer, groups: ChannelGroups, kept: np.ndarray) -> _Cut:
        out = kept[groups.vectors[layer.index]]
        return cls(out, kept[groups.vector(layer.inputs[0])] if layer.inputs else out)


def _options(layer: Layer, cut: _Cut) -> dict[str, str]:
    changes = {"filters": str(int(cut.out.sum()))}
    if isinstance(layer.rule, Same):
        changes["groups"] = str(int(cut.read.sum()))
    return changes


def _cut_arrays(layer: Layer, arrays: Arrays, cut: _Cut, fold: Fold | None) -> Arrays:
    slicer = SLICERS.get(layer.kind)
    if slicer is None or not arrays:
        return arrays
    sliced = dict(arrays)
    if fold is not None:
        name, sign = ("mean", -1) if layer.options.batch_normalize else ("bias", 1)
        sliced[name] = (arrays[name].astype(np.float64) + sign * fold.offset).astype(np.float32)
    if cut.out.all() and cut.read.all():
        return sliced
    return slicer(layer, sliced, cut)


def _slice_convolution(layer: Layer, arrays: Arrays, cut: _Cut) -> Arrays:
    sliced = {name: array[cut.out] for name, array in arrays.items() if name != "weight"}
    return {**sliced, "weight": _slice_kernel(layer, arrays["weight"], cut)}


def _slice_kernel(layer: Layer, weight: np.ndarray, cut: _Cut) -> np.ndarray:
    """(filters, in / groups, k, k): rows of kept filters, columns of kept inputs, block by block."""
    if not isinstance(layer.rule, Fresh):
        return weight[cut.out]
    blocks = layer.options.groups
    out, read = cut.out.reshape(blocks, -1), cut.read.reshape(blocks, -1)
    kernels = np.split(weight, blocks)
    parts = [kernel[np.ix_(rows, columns)] for kernel, rows, columns in zip(kernels, out, read, strict=True)]
    return parts[0] if blocks == 1 else np.concatenate(parts)


def _slice_vectors(layer: Layer, arrays: Arrays, cut: _Cut) -> Arrays:
    return {name: array[cut.out] for name, array in arrays.items()}


def _slice_shortcut(layer: Layer, arrays: Arrays, cut: _Cut) -> Arrays:
    if layer.options.weights_type != "per_channel":
        return arrays
    return {"weight": arrays["weight"][:, cut.out]}


Slicer = Callable[[Layer, Arrays, _Cut], Arrays]

# Kinds with arrays along channels that can go. The arrays of [connected] and [implicit] cannot: their rule is Fixed.
SLICERS: Mapping[str, Slicer] = {
    "convolutional": _slice_convolution,
    "batchnorm": _slice_vectors,
    "shortcut": _slice_shortcut,
}
