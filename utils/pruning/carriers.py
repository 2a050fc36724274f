"""Carriers: removed channels that stay as constants, so that a fold is exact at every pixel (`--fold exact`).

A constant that was folded into a mean is there outside the map, too, where zero padding should have cut it. So some of
the removed channels stay as plain constants: kernel 0, gamma 0, beta 1. Like any channel they pass through shortcuts,
routes, pooling and upsampling, and arrive as a known number, their level. A padded convolution multiplies them by the sum
of the kernels of all it lacks, each times the ratio of its constant to the level - tap by tap, so that padding cuts what it
should. One carrier serves all convolutions that read it; kernels that do not pad need none. Cfg and weights stay
ordinary, so every engine computes it.

Where no carrier is to be had, what the convolution lacks stays: each of these channels its own constant, beta and all, as in
the masked network. So it is behind the blur of antialiasing, which makes a constant fade at the border, and where a
[batchnorm] turns the level of every carrier negative before a relu.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

    blank: bool, shape (groups.count,); carriers, and what blocks and multiples need beside them. own: those of them that
    keep the constant they had. folds: those of the offset, with carriers wherever one could be had. unserved: layers that
    are read by a convolution which would need a carrier and has none.
    """

    blank: np.ndarray
    own: np.ndarray
    folds: Mapping[int, Fold]
    unserved: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Need:
    """A block of a convolution that lacks what its fold cannot bring at every pixel, and the positions that could carry it."""

    layer: int
    block: int
    lack: Constant
    level: np.ndarray
    classes: np.ndarray
    usable: np.ndarray

    @property
    def lacking(self) -> np.ndarray:
        """The classes of which it lacks something, at the border at least."""
        return self.classes[self._places]

    @property
    def _places(self) -> np.ndarray:
        return np.flatnonzero((self.lack.values != 0) | ~self.lack.exact)

    def carried(self, chosen: np.ndarray, own: np.ndarray) -> list[Carried]:
        """By its channels' own constants, or by one carrier; empty if neither is there."""
        if own[self.lacking].all():
            alone = np.eye(len(self.classes))
            return [Carried(self.block, int(place), alone[place]) for place in self._places]
        places = np.flatnonzero(chosen[self.classes] & self.usable)[:1]
        return [Carried(self.block, int(place), self.lack.values / self.level[place]) for place in places]


def carriers(network: Network, weights: Weights, groups: ChannelGroups, kept: np.ndarray, blocks: Collection[int],
             offset: Offset, round_to: int = 1, *, own_constants: bool = False) -> Carriers:
    """Choose as few removed classes as carriers as a greedy cover of all that need one finds.

    Where none of the channels that a convolution reads goes, or their level is 0, its fold stays as it was: approximate
    at the border.

    Args:
        own_constants: rather than that, let all that it lacks stay as the constants of `offset`, which are those that the
            channels emit with their kernels at 0.
    """
    own = np.zeros(groups.count, dtype=bool)
    while True:
        needs = _needs(network, weights, groups, kept, blocks, offset, own)
        chosen = _cover([need for need in needs if not own[need.lacking].all()], groups.count)
        unserved = [need for need in needs if not need.carried(chosen, own)]
        stay = [need.lacking for need in unserved if own_constants and not kept[need.lacking].any()]
        if not stay:
            break
        own[np.concatenate(stay)] = True
    folds = {index: _with_carriers(network.layers[index], fold, [need for need in needs if need.layer == index], chosen, own)
             for index, fold in offset.folds.items()}
    with_carriers = completed(network, groups, kept | chosen | own, np.zeros(groups.count), round_to=round_to) \
        if (chosen | own).any() else kept
    return Carriers(with_carriers & ~kept, own, folds,
                    tuple(dict.fromkeys(network.layers[need.layer].inputs[0] for need in unserved)))


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
           offset: Offset, own: np.ndarray) -> list[_Need]:
    levels = carrier_levels(network, weights, blocks)
    needs: list[_Need] = []
    for index in offset.folds:
        layer = network.layers[index]
        lack = offset.read_by(layer)
        if not isinstance(layer.rule, Fresh) or (lack.exact.all() and not (pads(layer) and lack.values.any())):
            continue
        level = levels[layer.inputs[0]]
        classes, rows = groups.vector(layer.inputs[0]), kept[groups.vectors[index]]
        usable = ~kept[classes] & ~own[classes] & level.exact & (level.values != 0)
        parts = [array.reshape(layer.options.groups, -1) for array in
                 (lack.values, lack.exact, level.values, classes, usable, rows)]
        for block, (values, exact, heights, numbers, able, out) in enumerate(zip(*parts, strict=True)):
            if (values.any() or not exact.all()) and out.any():
                needs.append(_Need(index, block, Constant(values, exact), heights, numbers, able & exact.all()))
    return needs


def _cover(needs: Sequence[_Need], count: int) -> np.ndarray:
    """Classes of which each need can use one, if it can use any; bool, shape (count,)."""
    chosen = np.zeros(count, dtype=bool)
    candidates = [np.unique(need.classes[need.usable]) for need in needs]
    candidates = [classes for classes in candidates if len(classes)]
    while candidates:
        best = int(np.bincount(np.concatenate(candidates), minlength=count).argmax())
        chosen[best] = True
        candidates = [classes for classes in candidates if best not in classes]
    return chosen


def _with_carriers(layer: Layer, fold: Fold, needs: Sequence[_Need], chosen: np.ndarray, own: np.ndarray) -> Fold:
    """The fold of a convolution with these needs, which brings by itself only what nothing carries."""
    carried = {need.block: found for need in needs if (found := need.carried(chosen, own))}
    if not carried:
        return fold
    offset = fold.offset.reshape(layer.options.groups, -1).copy()
    offset[list(carried)] = 0
    return replace(fold, offset=offset.reshape(-1), exact=len(carried) == len(needs),
                   carried=tuple(one for found in carried.values() for one in found))
