"""Adders: what stays of a residual block whose constant nothing else can bring to all that read it (`--fold exact`).

Without its branch a block still added a constant, and some readers can take that neither into their weights nor from a
carrier: a depthwise kernel at the border, an activation, a product, a layer without a bias, padded kernels behind halves
that leave no room for a carrier. Then the block becomes one layer that adds the constant: a depthwise 1x1 convolution of
what it added to, with kernel 1 and the constant as its bias. Like every convolution it takes in what its input lacks, so
one adder also speaks for the blocks before it, and nothing lacks anything behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from utils.darknet import IMAGE, Network, Weights, without_layers
from utils.pruning.groups import ChannelGroups, channel_groups
from utils.pruning.offset import Offset
from utils.pruning.selection import chosen_blocks


@dataclass(frozen=True, eq=False)
class WithAdders:
    """A network at full width in which some of the blocks that go are adders already.

    kept: bool per class of `groups`. blocks: those that go altogether. origins: for each layer its index in the network as
    it was given; an adder has that of the [shortcut] in whose place it is. adders: these, in layer order.
    """

    network: Network
    weights: Weights
    groups: ChannelGroups
    kept: np.ndarray
    blocks: tuple[int, ...]
    origins: tuple[int, ...]
    adders: tuple[int, ...] = ()

    def means(self, measured: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """Channel means {layer: (C,)} of the network as it was given, by the layers of this one."""
        return {index: measured[origin] for index, origin in enumerate(self.origins) if origin in measured}


def blocks_behind(given: WithAdders, offset: Offset, readers: Collection[int]) -> tuple[int, ...]:
    """The blocks that would have to be adders for these layers to lack nothing: the nearest that go before each.

    A block whose own constant is not the same at every pixel (behind the blur of antialiasing) is no adder, and left out.
    """
    network, chosen = given.network, {block.shortcut: block for block in chosen_blocks(given.network, given.blocks)}
    found: set[int] = set()
    seen: set[int] = {IMAGE}
    waiting = [source for reader in readers for source in network.layers[reader].inputs]
    while waiting:
        index = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        if not offset.constants[index].values[given.kept[given.groups.vectors[index]]].any():
            continue
        if index in chosen and offset.constants[chosen[index].branch[-1]].exact.all():
            found.add(index)
        else:
            waiting += network.layers[index].inputs
    return tuple(sorted(found))


def with_adders(given: WithAdders, shortcuts: Collection[int], offset: Offset) -> WithAdders:
    """Make an adder of each of these blocks, in the place of its [shortcut].

    The network computes then what it did with these branches silenced. offset: of the network and plan that are given.
    """
    network = given.network
    instead: dict[int, int | None] = {}
    arrays: dict[int, dict[str, np.ndarray]] = {}
    for block in chosen_blocks(network, shortcuts):
        constant = offset.constants[block.branch[-1]].values.astype(np.float32)
        channels = str(len(constant))
        network = network.with_section(block.shortcut, "convolutional", {
            "filters": channels, "groups": channels, "size": "1", "stride": "1", "pad": "0", "activation": "linear"})
        arrays[block.shortcut] = {"bias": constant, "weight": np.ones((len(constant), 1, 1, 1), dtype=np.float32)}
        instead |= {**dict.fromkeys(block.layers[:-1]), block.shortcut - 1: block.source}
    stay = [layer.index for layer in network.layers if layer.index not in instead]
    place = {index: number for number, index in enumerate(stay)}
    network = without_layers(network, instead)
    groups = channel_groups(network)
    kept = np.zeros(groups.count, dtype=bool)
    for number, index in enumerate(stay):
        kept[groups.vectors[number]] |= given.kept[given.groups.vectors[index]]
    kept[groups.image] = True
    layers = tuple(arrays.get(index, given.weights.layers[index]) for index in stay)
    return WithAdders(network, Weights(given.weights.header, layers, len(layers)), groups, kept,
                      tuple(place[block] for block in given.blocks if block not in shortcuts and block in place),
                      tuple(given.origins[index] for index in stay),
                      tuple(sorted({*given.adders, *(given.origins[index] for index in shortcuts)})))
