"""Carriers: removed channels that stay as constants, so that a fold is exact at every pixel (`--fold exact`).

A constant that was folded into a mean is there outside the map, too, where zero padding should have cut it. So some of
the removed channels stay as plain constants: kernel 0, gamma 0, beta 1. Like any channel they pass through shortcuts,
routes, pooling and upsampling, and arrive as a known number, their level. A padded convolution multiplies them by the sum
of the kernels of all it lacks, each times the ratio of its constant to the level - tap by tap, so that padding cuts what it
should. One carrier serves all convolutions that read it; kernels that do not pad need none. Cfg and weights stay
ordinary, so every engine computes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

from utils.darknet import IMAGE, Fixed, Fresh, Layer, Network, Weights
from utils.pruning.completion import completed
from utils.pruning.constants import Constant, emitted, pads, passed_on
from utils.pruning.groups import ChannelGroups
from utils.pruning.offset import Carried, Fold, Offset
from utils.pruning.selection import chosen_blocks, removed_layers

CARRIER_BETA = 1.0  # act(1) is far from 0 for every activation of Darknet's


@dataclass(frozen=True, eq=False)
class Carriers:
    """Which classes stay after all, as constants, and the folds that use them.

    blank: bool, shape (groups.count,); carriers, and what blocks and multiples need beside them.
    folds: those of the offset, with carriers wherever one could be had. unserved: layers that are read by a padded
    convolution and in which no carrier could be found.
    """

    blank: np.ndarray
    folds: Mapping[int, Fold]
    unserved: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Need:
    """A block of a padded convolution that lacks something, and the positions that could carry it."""

    layer: int
    block: int
    lack: np.ndarray
    level: np.ndarray
    classes: np.ndarray
    usable: np.ndarray


def carriers(network: Network, weights: Weights, groups: ChannelGroups, kept: np.ndarray, blocks: Collection[int],
             offset: Offset, round_to: int = 1) -> Carriers:
    """Choose as few removed classes as carriers as a greedy cover of all padded readers finds.

    Where none of the channels that a convolution reads goes, or their level is 0, its fold stays as it was: approximate
    at the border.
    """
    needs = _needs(network, weights, groups, kept, blocks, offset)
    chosen = _cover(needs, groups.count)
    carried: dict[int, list[Carried]] = {}
    unserved: list[int] = []
    for need in needs:
        places = np.flatnonzero(chosen[need.classes] & need.usable)
        if len(places):
            place = int(places[0])
            carried.setdefault(need.layer, []).append(Carried(need.block, place, need.lack / need.level[place]))
        else:
            unserved.append(network.layers[need.layer].inputs[0])
    folds = {index: _with_carriers(network.layers[index], fold, carried.get(index, ()), offset, needs)
             for index, fold in offset.folds.items()}
    with_carriers = completed(network, groups, kept | chosen, np.zeros(groups.count), round_to=round_to) \
        if chosen.any() else kept
    return Carriers(with_carriers & ~kept, folds, tuple(dict.fromkeys(unserved)))


def carrier_levels(network: Network, weights: Weights, blocks: Collection[int]) -> tuple[Constant, ...]:
    """What a channel of each layer is if it is a carrier, and so are all those that it comes from."""
    chosen = chosen_blocks(network, blocks)
    removed, source_of = removed_layers(chosen), {block.shortcut: block.source for block in chosen}
    levels: list[Constant] = []
    image = Constant.zero(network.net.channels)
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        channels = layer.shape.channels
        if layer.index in source_of:
            levels.append(levels[source_of[layer.index]])
        elif layer.index in removed:
            levels.append(Constant.zero(channels))
        elif layer.kind == "convolutional" and not isinstance(layer.rule, Fixed):
            levels.append(emitted(layer, np.full(channels, CARRIER_BETA)))
        else:
            inputs = [image if source == IMAGE else levels[source] for source in layer.inputs]
            levels.append(passed_on(layer, inputs, arrays, np.ones(channels, dtype=bool)))
    return tuple(levels)


def _needs(network: Network, weights: Weights, groups: ChannelGroups, kept: np.ndarray, blocks: Collection[int],
           offset: Offset) -> list[_Need]:
    levels = carrier_levels(network, weights, blocks)
    needs: list[_Need] = []
    for index in offset.folds:
        layer = network.layers[index]
        lack = offset.read_by(layer)
        if not isinstance(layer.rule, Fresh) or not pads(layer) or not lack.values.any():
            continue
        level = levels[layer.inputs[0]]
        classes, rows = groups.vector(layer.inputs[0]), kept[groups.vectors[index]]
        parts = [array.reshape(layer.options.groups, -1) for array in
                 (lack.values, level.values, classes, ~kept[classes] & level.exact & (level.values != 0), rows)]
        for block, (values, heights, numbers, usable, out) in enumerate(zip(*parts, strict=True)):
            if values.any() and out.any():
                needs.append(_Need(index, block, values, heights, numbers, usable))
    return needs


def _cover(needs: list[_Need], count: int) -> np.ndarray:
    """Classes of which each need can use one, if it can use any; bool, shape (count,)."""
    chosen = np.zeros(count, dtype=bool)
    candidates = [np.unique(need.classes[need.usable]) for need in needs]
    candidates = [classes for classes in candidates if len(classes)]
    while candidates:
        best = int(np.bincount(np.concatenate(candidates), minlength=count).argmax())
        chosen[best] = True
        candidates = [classes for classes in candidates if best not in classes]
    return chosen


def _with_carriers(layer: Layer, fold: Fold, carried: Collection[Carried], offset: Offset, needs: list[_Need]) -> Fold:
    if not carried:
        return fold
    own = fold.offset.reshape(layer.options.groups, -1).copy()
    own[[one.block for one in carried]] = 0
    needed = sum(need.layer == layer.index for need in needs)
    exact = len(carried) == needed and bool(offset.read_by(layer).exact.all())
    return replace(fold, offset=own.reshape(-1), exact=exact, carried=tuple(carried))
