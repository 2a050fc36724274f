"""Residual blocks that can go whole: without its branch, a shortcut is what it adds to.

A block is a [shortcut], the earlier layer that it adds to, and everything between. It can go if nobody outside reads its
inside and its inside reads nothing earlier: the bottlenecks of yolov3 and yolov4, but also inverted residuals with
squeeze-and-excite, and any longer run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from utils.darknet import Fresh, Layer, Network

_PASS_ON = frozenset({"dropout", "activation", "empty"})


@dataclass(frozen=True)
class ResidualBlock:
    """Layers that can go together.

    shortcut: index of its [shortcut], which goes, too. source: the layer that it adds to, and that its readers read
    afterwards. branch: the layers between. feeder: the last convolution of the branch; with its gamma at 0 the block adds
    a constant. stage: number of the chain of shortcuts that it belongs to, from 0 in layer order.
    """

    shortcut: int
    source: int
    branch: tuple[int, ...]
    feeder: int
    stage: int

    @property
    def layers(self) -> tuple[int, ...]:
        """All that goes."""
        return (*self.branch, self.shortcut)


def residual_blocks(network: Network) -> tuple[ResidualBlock, ...]:
    """All blocks that can go, in layer order; any subset of them can."""
    stages = _stages(network)
    blocks = []
    for layer in network.layers:
        if layer.kind == "shortcut" and why_block_stays(network, layer.index) is None:
            branch = tuple(range(layer.inputs[1] + 1, layer.index))
            blocks.append(ResidualBlock(layer.index, layer.inputs[1], branch, _feeder(network, layer).index,
                                        stages[layer.index]))
    return tuple(blocks)


def why_block_stays(network: Network, shortcut: int) -> str | None:
    """Why the residual block that ends in layer `shortcut` cannot go; None if it can."""
    layer = network.layers[shortcut]
    if layer.kind != "shortcut":
        return f"layer {shortcut} is a [{layer.kind}], no [shortcut]"
    if len(layer.inputs) != 2 or layer.options.weights_type != "none" or layer.options.activation != "linear":
        return "it is no plain sum of two layers"
    source = layer.inputs[1]
    if len(set(layer.input_shapes)) > 1:
        return f"it adds {layer.input_shapes[1]} to {layer.input_shapes[0]}"
    inside = range(source + 1, shortcut)
    if not inside:
        return "it has no branch"
    for index in inside:
        inner = network.layers[index]
        if inner.is_head:
            return f"layer {index} of its branch is a detection head"
        if any(not source <= read < shortcut for read in inner.inputs):
            return f"layer {index} of its branch reads what lies before the block"
        reader = next((r for r in network.consumers(index) if r > shortcut), None)
        if reader is None:
            reader = next((other.index for other in network.layers if other.index not in inside
                           and getattr(other.options, "share_index", None) == index), None)
        if reader is not None:
            return f"layer {reader} uses layer {index} of its branch"
    if _feeder(network, layer) is None:
        return "its branch does not end in a convolution with batch norm"
    return None


def stand_ins(blocks: Iterable[ResidualBlock]) -> dict[int, int | None]:
    """What is read instead of each layer that goes with these blocks, as `without_layers` takes it."""
    result: dict[int, int | None] = {}
    for block in blocks:
        result |= dict.fromkeys(block.branch)
        result[block.shortcut] = block.source
    return result


def _feeder(network: Network, shortcut: Layer) -> Layer | None:
    """The convolution whose channels the shortcut adds; what lies between passes constants on."""
    layer = network.layers[shortcut.inputs[0]]
    while layer.kind in _PASS_ON and layer.inputs[0] > shortcut.inputs[1]:
        layer = network.layers[layer.inputs[0]]
    fits = layer.index > shortcut.inputs[1] and layer.kind == "convolutional" and isinstance(layer.rule, Fresh)
    return layer if fits and layer.options.batch_normalize else None


def _stages(network: Network) -> dict[int, int]:
    """The stage of each shortcut: that of a shortcut it adds to, or a new one."""
    stages: dict[int, int] = {}
    for layer in network.layers:
        if layer.kind == "shortcut":
            earlier = [stages[source] for source in layer.inputs if source in stages]
            stages[layer.index] = min(earlier) if earlier else max(stages.values(), default=-1) + 1
    return stages
