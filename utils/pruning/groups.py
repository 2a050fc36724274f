"""Channel groups: which channels of which layers live or die together, from the channel rules of any cfg."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from utils.darknet import IMAGE, Concat, Fixed, Fresh, Layer, Network, Rule, Same, Slice, Tied

_NOT_STORED = "the .weights file holds only a part of its arrays (dontload, dontloadscales)"


@dataclass(frozen=True, eq=False)
class Balance:
    """A channel list in equal blocks, each of which must keep the same number of channels.

    classes: the class of each channel, shape (C,), C divisible by blocks. layer: the layer that asks for it.
    """

    classes: np.ndarray
    blocks: int
    layer: int

    def counts(self, kept: np.ndarray) -> np.ndarray:
        """How many channels each block keeps, shape (blocks,), if `kept` says so of each class."""
        return kept[self.classes].reshape(self.blocks, -1).sum(axis=1)


@dataclass(frozen=True, eq=False)
class ChannelGroups:
    """The channels of a network, sorted into classes: one class is what can be removed only as a whole.

    count: number of classes; they are numbered from 0 in the order of their first channel.
    image: the class of each channel of the network's input.
    vectors: per layer the class of each output channel, shape (C,).
    producers: the layers that make channels of their own (convolutions that are not depthwise).
    balances: lists that must keep equally many channels in each block.
    fixed: per class, whether it must stay.
    """

    count: int
    image: np.ndarray
    vectors: tuple[np.ndarray, ...]
    producers: tuple[int, ...]
    balances: tuple[Balance, ...]
    fixed: np.ndarray
    _reason_numbers: np.ndarray
    _reasons: tuple[str, ...]

    def vector(self, index: int) -> np.ndarray:
        """The class of each output channel of layer `index`, or of the network's input for IMAGE."""
        return self.image if index == IMAGE else self.vectors[index]

    def reason(self, class_id: int) -> str | None:
        """Why a class must stay, or None if it may go."""
        number = int(self._reason_numbers[class_id])
        return None if number < 0 else self._reasons[number]

    def producers_of(self, class_id: int) -> tuple[tuple[int, int], ...]:
        """The (layer, channel) pairs that make the channels of a class; () for classes that no convolution makes."""
        return tuple((layer, int(channel)) for layer in self.producers
                     for channel in np.flatnonzero(self.vectors[layer] == class_id))

    @cached_property
    def coupled_layers(self) -> tuple[tuple[int, ...], ...]:
        """Sets of two or more producers that share classes, hence are cut together; in layer order."""
        rank = {layer: number for number, layer in enumerate(self.producers)}
        first = np.full(self.count, -1)
        edges: list[tuple[int, int]] = []
        for layer in self.producers:
            classes = np.unique(self.vectors[layer])
            known = np.unique(first[classes])
            edges += [(int(other), rank[layer]) for other in known if other >= 0]
            first[classes] = np.where(first[classes] < 0, rank[layer], first[classes])
        pairs = np.array(edges, dtype=np.intp).reshape(-1, 2)
        roots = _components(len(self.producers), pairs[:, 0], pairs[:, 1])
        sets = [tuple(layer for layer in self.producers if roots[rank[layer]] == root) for root in np.unique(roots)]
        return tuple(members for members in sets if len(members) > 1)


def channel_groups(network: Network) -> ChannelGroups:
    """Sort the channels of a network into classes by the rules of its layers (a union-find over channels).

    The channels of the network's input and the output of its last layer are fixed; so is what a layer with the rule
    Fixed reads and gives, and what a convolution gives and reads whose arrays the .weights file does not hold.

    Cost: linear in the number of channels; well below a second for the largest cfgs.
    """
    builder = _Builder(network)
    for layer in network.layers:
        builder.add(layer)
    return builder.finish()


class _Builder:
    """Gives every channel a variable, and collects which variables are equal, fixed or balanced."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._variables = 0
        self._left: list[np.ndarray] = []
        self._right: list[np.ndarray] = []
        self._fixed: list[tuple[np.ndarray, str]] = []
        self._balanced: list[tuple[np.ndarray, int, int]] = []
        self._vectors: list[np.ndarray] = []
        self._producers: list[int] = []
        self._image = self._fresh(network.net.channels)
        self._fixed.append((self._image, "it is a channel of the network's input"))

    def add(self, layer: Layer) -> None:
        """Number the output channels of the next layer."""
        inputs = [self._image if source == IMAGE else self._vectors[source] for source in layer.inputs]
        self._vectors.append(self._output(layer, inputs))
        if len(layer.stored) < len(layer.arrays):
            self._fix((*inputs, self._vectors[-1]), f"layer {layer.index}: {_NOT_STORED}")

    def _output(self, layer: Layer, inputs: Sequence[np.ndarray]) -> np.ndarray:
        rule: Rule = layer.rule
        match rule:
            case Fresh(blocks):
                out = self._fresh(layer.shape.channels)
                self._producers.append(layer.index)
                if blocks > 1:
                    self._balance(inputs[0], blocks, layer)
                    self._balance(out, blocks, layer)
                return out
            case Same(multiplier, repeats):
                return np.tile(np.repeat(inputs[0], multiplier), repeats)
            case Tied(like):
                for other in (*inputs[:like], *inputs[like + 1:]):
                    width = min(len(inputs[like]), len(other))
                    self._left.append(inputs[like][:width])
                    self._right.append(other[:width])
                return inputs[like]
            case Concat():
                return np.concatenate(inputs)
            case Slice(groups, group_id):
                for source in dict.fromkeys(layer.inputs):
                    self._balance(inputs[layer.inputs.index(source)], groups, layer)
                return np.concatenate([v.reshape(groups, -1)[group_id] for v in inputs])
            case Fixed(reason):
                out = self._fresh(layer.shape.channels)
                self._fix((*inputs, out), f"layer {layer.index}: {reason}")
                return out

    def _fresh(self, count: int) -> np.ndarray:
        start = self._variables
        self._variables += count
        return np.arange(start, self._variables)

    def _fix(self, vectors: Iterable[np.ndarray], reason: str) -> None:
        self._fixed += [(vector, reason) for vector in vectors]

    def _balance(self, vector: np.ndarray, blocks: int, layer: Layer) -> None:
        self._balanced.append((vector, blocks, layer.index))

    def finish(self) -> ChannelGroups:
        """The classes that follow from all layers."""
        self._fixed.append((self._vectors[-1], "it is the network's output"))
        none = [np.empty(0, dtype=np.intp)]
        roots = _components(self._variables, np.concatenate(self._left or none), np.concatenate(self._right or none))
        first, class_of = np.unique(roots, return_inverse=True)
        reasons = np.full(len(first), -1)
        for number, (variables, _) in reversed(list(enumerate(self._fixed))):
            reasons[class_of[variables]] = number
        return ChannelGroups(
            count=len(first),
            image=class_of[self._image],
            vectors=tuple(class_of[vector] for vector in self._vectors),
            producers=tuple(self._producers),
            balances=tuple(Balance(class_of[v], blocks, layer) for v, blocks, layer in self._balanced),
            fixed=reasons >= 0,
            _reason_numbers=reasons,
            _reasons=tuple(reason for _, reason in self._fixed),
        )


def _components(count: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The smallest member of each node's connected component, shape (count,); edges are (left[i], right[i])."""
    parent = np.arange(count)
    while True:
        a, b = parent[left], parent[right]
        apart = a != b
        if not apart.any():
            return parent
        a, b = a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(parent, grandparent := parent[parent]):
            parent = grandparent
