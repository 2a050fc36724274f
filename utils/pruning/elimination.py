"""The order in which channels and residual blocks can go so that what stays can stand in for them longest.

Each convolution that reads a channel loses what the channel gave and the others cannot give in its place: with the kernel
refitted, the loss is the kernel's energy there times the channel's variance given all the other channels. Channels go one
by one, the cheapest first; after each the others have taken over its part, and one of two equal channels, worth nothing
while its twin is there, is worth all when the twin is gone. A residual block is worth what its branch carries into all that
read the sum. Sources: optimal brain surgeon (Hassibi and Stork, 1993) and optimal brain compression (Frantar and Alistarh,
2022, https://arxiv.org/abs/2208.11580), here for tied groups of whole channels over all their readers at once; taps of a
kernel are taken to see independent places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from utils.darknet import Fresh, Layer, Network, Weights
from utils.pruning.blocks import ResidualBlock, residual_blocks
from utils.pruning.class_costs import CostUnit, class_costs, layer_cost
from utils.pruning.downstream import downstream_importance
from utils.pruning.groups import ChannelGroups
from utils.pruning.statistics import ActivationStatistics
from utils.pruning.summand import carried_variances

_REFRESH = 50  # times that costs are worked out anew on the way
_WAITING = 64  # outer products that are multiplied at once


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that goes: a class of channels, or the residual block that ends in a [shortcut]."""

    class_id: int | None = None
    block: int | None = None


def elimination_order(network: Network, weights: Weights, groups: ChannelGroups, removable: np.ndarray,
                      statistics: ActivationStatistics, cost_of: CostUnit | Sequence[tuple[CostUnit, float]] = "macs", *,
                      exponent: float = 1.0, blocks: bool = True, ridge: float = 1e-2) -> tuple[Step, ...]:
    """All that can go, the first to go first.

    Args:
        removable: bool per class; those that no convolution reads are left alone.
        cost_of: what is to be saved; or several units, each with its weight.
        exponent: what a step is worth is divided by what it saves at the widths then left, to this power.
        blocks: whether residual blocks may go, too.
        ridge: share of the mean variance that is added to each channel's own; guards against chance in few samples.
    """
    units = ((cost_of, 1.0),) if isinstance(cost_of, str) or callable(cost_of) else tuple(cost_of)
    return tuple(_Elimination(network, weights, groups, removable, statistics, units, exponent, blocks, ridge).steps())


class _Source:
    """A list of channels that convolutions read, or one block of it.

    Attributes:
        layer, start: the source, and its first channel here.
        classes: of its channels, (C,).
        readers: for each reader the sum over filters and taps of W'W, each filter in units of its response.
        losses: what all readers together would lose without the class of each channel, (C,), in equal parts where a class
            stands here several times; 0 where it went.
    """

    def __init__(self, layer: int, start: int, classes: np.ndarray, precision: np.ndarray) -> None:
        self.layer, self.start, self.classes = layer, start, classes
        self.readers: dict[int, _Downdated] = {}
        self.losses = np.zeros(len(classes))
        self._there = np.ones(len(classes), dtype=bool)
        self._members = _members(classes)
        self._precision = _Downdated(precision, self._members)

    @property
    def energy(self) -> np.ndarray:
        """Of all readers, for each channel, (C,)."""
        energy = np.zeros(len(self.classes))
        for number, members in enumerate(self._members):
            energy[members] = self._energies(number).diagonal(axis1=1, axis2=2)
        return energy

    def read_by(self, layer: int, energy: np.ndarray) -> None:
        """Add a reader; energy: (C, C)."""
        self.readers[layer] = _Downdated(energy, self._members)

    def lose(self, positions: np.ndarray) -> None:
        """The channels at these positions go: the others take over their part in each reader's kernel."""
        for position in positions:
            row = self._precision.row(position) * self._there
            share = row / row[position]
            self._there[position] = False
            self._precision.subtract(share, row / 2)
            for energy in self.readers.values():
                own = energy.row(position)
                energy.subtract(share, own - own[position] / 2 * share)
        self.measure()

    def measure(self) -> None:
        """Work out the losses: the trace of energy / precision over the places of each class, as all of them go at once."""
        self.losses[:] = 0
        for number, members in enumerate(self._members):
            there = self._there[members[:, 0]]
            precision, energy = self._precision.blocks[number][there], self._energies(number)[there]
            ratio = energy / precision if members.shape[1] == 1 else np.linalg.solve(precision, energy)
            self.losses[members[there]] = (np.trace(ratio, axis1=1, axis2=2) / members.shape[1])[:, None]

    def _energies(self, number: int) -> np.ndarray:
        members = self._members[number]
        return sum((energy.blocks[number] for energy in self.readers.values()), np.zeros((*members.shape, members.shape[1])))


def _members(classes: np.ndarray) -> list[np.ndarray]:
    """The places of each class, (n, times) for all that stand there equally often."""
    _, number, times = np.unique(classes, return_inverse=True, return_counts=True)
    order = np.argsort(number, kind="stable")
    return [order[times[number[order]] == count].reshape(-1, count) for count in np.unique(times)]


class _Downdated:
    """A symmetric matrix of which outer products are subtracted, now and then many at once.

    blocks: for each array of members, (n, times), the entries between the places of each, (n, times, times); up to date.
    """

    def __init__(self, matrix: np.ndarray, members: list[np.ndarray]) -> None:
        self._matrix, self._members = matrix, members
        self.blocks = [matrix[places[:, :, None], places[:, None, :]] for places in members]
        self._left, self._right = np.zeros((2, _WAITING, len(matrix)))
        self._waiting = 0

    def row(self, position: int) -> np.ndarray:
        """One row, (C,)."""
        left, right = self._left[:self._waiting], self._right[:self._waiting]
        return self._matrix[position] - left[:, position] @ right - right[:, position] @ left

    def subtract(self, s: np.ndarray, u: np.ndarray) -> None:
        """Subtract s u' + u s'."""
        for block, places in zip(self.blocks, self._members, strict=True):
            product = s[places][:, :, None] * u[places][:, None, :]
            block -= product + product.transpose(0, 2, 1)
        self._left[self._waiting], self._right[self._waiting] = s, u
        self._waiting += 1
        if self._waiting == _WAITING:
            product = self._left.T @ self._right
            self._matrix -= product
            self._matrix -= product.T
            self._waiting = 0


class _Elimination:
    """What is left, and what each step would cost and save."""

    def __init__(self, network: Network, weights: Weights, groups: ChannelGroups, removable: np.ndarray,
                 statistics: ActivationStatistics, units: Sequence[tuple[CostUnit, float]], exponent: float, blocks: bool,
                 ridge: float) -> None:
        self._network, self._groups, self._units, self._exponent = network, groups, units, exponent
        self._sources = _sources(network, weights, groups, statistics, ridge)
        self._places: dict[int, list[tuple[_Source, np.ndarray]]] = {}
        for source in self._sources:
            for class_id in np.unique(source.classes):
                self._places.setdefault(int(class_id), []).append((source, np.flatnonzero(source.classes == class_id)))
        self._kept = np.ones(groups.count, dtype=bool)
        self._left = np.zeros(groups.count, dtype=bool)
        self._left[list(self._places)] = removable[list(self._places)]
        self._gone: set[int] = set()
        self._blocks: list[tuple[ResidualBlock, dict[int, np.ndarray]]] = [
            (block, carried_variances(network, block, statistics)) for block in residual_blocks(network)] if blocks else []

    def steps(self) -> Iterator[Step]:
        """One thing after the other, until nothing that could go is left."""
        every = max(1, int(self._left.sum()) // _REFRESH)
        number = 0
        while True:
            if number % every == 0:
                worth, cost = self._worth(), np.maximum(self._class_costs(), 1e-12) ** self._exponent
                candidates = [(self._block_worth(block, carried) / self._block_cost(block) ** self._exponent, index)
                              for index, (block, carried) in enumerate(self._blocks) if block.shortcut not in self._gone]
                best_block = min(candidates, default=(np.inf, -1))
            number += 1
            scores = np.where(self._left, worth / cost, np.inf)
            chosen = int(scores.argmin())
            if best_block[0] < scores[chosen]:
                block, _ = self._blocks.pop(best_block[1])
                self._lose_block(block)
                yield Step(block=block.shortcut)
                number = 0
                continue
            if not self._left[chosen]:
                return
            self._left[chosen] = self._kept[chosen] = False
            for source, positions in self._places[chosen]:
                before = source.losses.copy()
                source.lose(positions)
                np.add.at(worth, source.classes, source.losses - before)
            yield Step(class_id=chosen)

    def _worth(self) -> np.ndarray:
        """What all readers would lose without each class, (groups.count,)."""
        worth = np.zeros(self._groups.count)
        for source in self._sources:
            np.add.at(worth, source.classes, source.losses)
        return worth

    def _class_costs(self) -> np.ndarray:
        return sum((weight * class_costs(self._network, self._groups, self._kept, unit, self._gone)
                    for unit, weight in self._units), np.zeros(self._groups.count))

    def _block_cost(self, block: ResidualBlock) -> float:
        left = [self._network.layers[index] for index in block.branch if index not in self._gone]
        return max(1e-12, sum(weight * layer_cost(layer, self._groups, self._kept, unit)
                              for layer in left if layer.kind == "convolutional" for unit, weight in self._units))

    def _block_worth(self, block: ResidualBlock, carried: dict[int, np.ndarray]) -> float:
        """What those that read the sum would lose without the branch, the other channels not helping."""
        worth = 0.0
        for source in self._sources:
            if source.layer in carried and source.layer not in self._gone:
                variance = carried[source.layer][source.start:source.start + len(source.classes)]
                worth += float(source.energy @ (variance * self._kept[source.classes]))
        return worth

    def _lose_block(self, block: ResidualBlock) -> None:
        """The branch's convolutions read nothing any more, and channels that only they make are nobody's."""
        self._gone |= set(block.layers)
        for source in self._sources:
            for layer in source.readers.keys() & self._gone:
                del source.readers[layer]
            source.measure()
        made = {int(c) for layer in self._network.layers if layer.index not in self._gone
                for c in self._groups.vectors[layer.index]}
        inside = {int(c) for layer in block.layers for c in self._groups.vectors[layer]}
        self._left[list(inside - made)] = False


def _sources(network: Network, weights: Weights, groups: ChannelGroups, statistics: ActivationStatistics,
             ridge: float) -> list[_Source]:
    """All lists of channels that are read, with their readers; depthwise convolutions read only what is tied to them."""
    found: dict[tuple[int, int, int], _Source] = {}
    importance = downstream_importance(network, weights, statistics)
    for layer in network.layers:
        if layer.kind != "convolutional" or not isinstance(layer.rule, Fresh):
            continue
        blocks, source = layer.options.groups, layer.inputs[0]
        vectors = groups.vector(source).reshape(blocks, -1)
        kernels = np.split(_scaled(layer, weights, statistics, importance[layer.index]), blocks)
        for block, (rows, classes) in enumerate(zip(kernels, vectors, strict=True)):
            key, start = (source, blocks, block), block * len(classes)
            if key not in found:
                own = slice(start, start + len(classes))
                found[key] = _Source(source, start, classes, _inverse(statistics.covariances[source][own, own], ridge))
            taps = rows.transpose(1, 0, 2, 3).reshape(len(classes), -1)
            found[key].read_by(layer.index, taps @ taps.T)
    for one in found.values():
        one.measure()
    return list(found.values())


def _scaled(layer: Layer, weights: Weights, statistics: ActivationStatistics, importance: np.ndarray) -> np.ndarray:
    """A kernel whose squares are shares of each filter's response, times the filter's importance."""
    response = statistics.responses[layer.index]
    kernel = weights.layers[layer.index]["weight"].astype(np.float64)
    scale = importance / np.maximum(response, 1e-12 + 1e-6 * response.mean())
    return kernel * np.sqrt(scale)[:, None, None, None]


def _inverse(covariance: np.ndarray, ridge: float) -> np.ndarray:
    size = float(np.trace(covariance)) / len(covariance)
    system = covariance.copy()
    system[np.diag_indices_from(system)] += max(ridge * size, 1e-12)
    return np.linalg.inv(system)
