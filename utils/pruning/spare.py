"""Spare channels: room for a carrier where a plan removes no channel that could be one.

When only residual blocks go, every channel stays, and what the blocks added has nobody to carry it past zero padding. So
the layers that are cut together get one channel more that nothing reads and that is 0: the network computes what it did,
and the plan has a channel to make a carrier of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from utils.darknet import IMAGE, Concat, Fresh, Layer, Network, Same, Slice, Tied, Weights
from utils.pruning.groups import ChannelGroups, channel_groups
from utils.pruning.selection import overread_shortcuts

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Widened:
    """A network with spare channels, which computes what the old one did.

    kept: bool per class of `groups`; what was kept stays so, spare channels are not kept.
    spares: per layer a bool for each channel of its output, whether it is a spare one.
    """

    network: Network
    weights: Weights
    groups: ChannelGroups
    kept: np.ndarray
    spares: Sequence[np.ndarray]

    def means(self, measured: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Channel means {layer: (C,)} of the old network with those of the spare channels, which are 0."""
        return {layer: _inserted(values, self.spares[layer], 0, 0.0) for layer, values in measured.items()}


def with_spare_channels(network: Network, weights: Weights, groups: ChannelGroups, kept: np.ndarray,
                        read: Collection[int]) -> Widened | None:
    """Add a channel to what each of these layers gives, where its width is free; None if it is nowhere.

    read: layers whose output needs a spare channel. A width is free if all layers that share it share it whole, and
    no grouped convolution or route cuts it into blocks, and no shortcut would be read past its end.
    """
    producers: set[int] = set()
    for index in dict.fromkeys(read):
        sets = _sets_of(groups, index)
        if not any(found <= producers for found in sets):
            producers |= next((found for found in sets if _spares(network, producers | found) is not None), set())
    spares = _spares(network, producers)
    if not producers or spares is None:
        return None
    wider = network.with_options({layer.index: _options(layer, spares) for layer in network.layers
                                  if layer.kind == "convolutional" and spares[layer.index].any()})
    layers = [_expanded(layer, arrays, spares) for layer, arrays in zip(network.layers, weights.layers, strict=True)]
    new_groups = channel_groups(wider)
    new_kept = np.zeros(new_groups.count, dtype=bool)
    for index, vector in enumerate(groups.vectors):
        new_kept[new_groups.vectors[index][~spares[index]]] |= kept[vector]
    new_kept[new_groups.image] = True
    return Widened(wider, Weights(weights.header, tuple(layers), weights.held), new_groups, new_kept, spares)


def _sets_of(groups: ChannelGroups, index: int) -> list[set[int]]:
    """The sets of producers that make the output of a layer, each with all that it is cut together with."""
    classes = set(groups.vectors[index].tolist())
    makers = [layer for layer in groups.producers if classes & set(groups.vectors[layer].tolist())]
    coupled = {layer: set(members) for members in groups.coupled_layers for layer in members}
    sets: list[set[int]] = []
    for layer in makers:
        own = coupled.get(layer, {layer})
        if own not in sets and not groups.fixed[groups.vectors[layer]].any():
            sets.append(own)
    return sets


def _spares(network: Network, producers: Collection[int]) -> list[np.ndarray] | None:
    """Per layer a bool for each channel of its new output: is it a spare one? None where that cannot be."""
    found: list[np.ndarray] = []
    for layer in network.layers:
        inputs = [np.zeros(network.net.channels, dtype=bool) if source == IMAGE else found[source]
                  for source in layer.inputs]
        touched = any(x.any() for x in inputs)
        match layer.rule:
            case Fresh(blocks):
                if blocks > 1 and (touched or layer.index in producers):
                    return None
                found.append(np.arange(layer.shape.channels + (layer.index in producers)) == layer.shape.channels)
            case Same(multiplier, repeats):
                found.append(np.tile(np.repeat(inputs[0], multiplier), repeats))
            case Tied(like):
                if touched and not all(np.array_equal(x, inputs[like]) for x in inputs):
                    return None
                found.append(inputs[like])
            case Concat():
                found.append(np.concatenate(inputs))
            case Slice():
                if touched:
                    return None
                found.append(np.zeros(layer.shape.channels, dtype=bool))
            case _:
                if touched:
                    return None
                found.append(np.zeros(layer.shape.channels, dtype=bool))
    widths = [len(spares) for spares in found]
    overread = overread_shortcuts(network, lambda index: network.net.channels if index == IMAGE else widths[index])
    return None if any(overread) else found


def _options(layer: Layer, spares: list[np.ndarray]) -> dict[str, str]:
    changes = {"filters": str(len(spares[layer.index]))}
    if isinstance(layer.rule, Same):
        changes["groups"] = str(len(spares[layer.inputs[0]]))
    return changes


def _expanded(layer: Layer, arrays: Arrays, spares: list[np.ndarray]) -> Arrays:
    """A layer's arrays with room for the spare channels: kernels, gamma, beta and mean 0, variance and weights 1."""
    out = spares[layer.index]
    read = spares[layer.inputs[0]] if layer.inputs and layer.inputs[0] != IMAGE else np.zeros(0, dtype=bool)
    if not arrays or not (out.any() or read.any()):
        return arrays
    if layer.kind == "shortcut":
        per_channel = arrays["weight"].ndim == 2
        return {"weight": _inserted(arrays["weight"], out, 1, 1.0)} if per_channel else arrays
    expanded = {name: _inserted(array, out, 0, 1.0 if name == "var" else 0.0) for name, array in arrays.items()}
    if layer.kind == "convolutional" and isinstance(layer.rule, Fresh) and read.any():
        expanded["weight"] = _inserted(expanded["weight"], read, 1, 0.0)
    return expanded


def _inserted(array: np.ndarray, spare: np.ndarray, axis: int, fill: float) -> np.ndarray:
    if not spare.any():
        return array
    shape = list(array.shape)
    shape[axis] = len(spare)
    wider = np.full(shape, fill, dtype=array.dtype)
    place: list[slice | np.ndarray] = [slice(None)] * array.ndim
    place[axis] = np.flatnonzero(~spare)
    wider[tuple(place)] = array
    return wider
