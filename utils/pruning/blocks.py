"""Residual blocks that can go whole: without its branch, a shortcut is what it adds to.

A block is a [shortcut], the earlier layer that it adds to, and everything between. It can go if nobody outside reads its
inside and its inside reads nothing earlier: the bottlenecks of yolov3 and yolov4, but also inverted residuals with
squeeze-and-excite, and any longer run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from utils.darknet import Fixed, Fresh, Layer, Network

# Kinds that read the layer before them, and make a constant of a constant, channel by channel.
_PASS_ON = frozenset({"dropout", "activation", "empty", "batchnorm", "maxpool", "local_avgpool", "avgpool", "upsample"})


@dataclass(frozen=True)
class ResidualBlock:
    """Layers that can go together.

    shortcut: index of its [shortcut], which goes, too. source: the layer that it adds to, and that its readers read
    afterwards. branch: the layers between that make what it adds. feeder: the last convolution of the branch; with its
    gamma at 0 the block adds a constant. stage: number of the chain of shortcuts that it belongs to, from 0 in layer order.
    """

    shortcut: int
    source: int
    branch: tuple[int, ...]
    feeder: int
    stage: int

    @property
    def layers(self) -> tuple[int, ...]:
        """All that goes: the branch, a [route] that copies the source for the shortcut, if there is one, and the shortcut."""
        return tuple(range(self.source + 1, self.shortcut + 1))


def residual_blocks(network: Network) -> tuple[ResidualBlock, ...]:
    """All blocks that can go, in layer order; any subset of them can."""
    stages = _stages(network)
    blocks = []
    for layer in network.layers:
        if layer.kind == "shortcut" and why_block_stays(network, layer.index) is None:
            source, end = _summands(network, layer)
            feeder = _feeder(network, source, end)
            assert feeder is not None  # or the block would stay
            blocks.append(ResidualBlock(layer.index, source, tuple(range(source + 1, end + 1)),
                                        feeder.index, stages[layer.index]))
    return tuple(blocks)


def why_block_stays(network: Network, shortcut: int) -> str | None:
    """Why the residual block that ends in layer `shortcut` cannot go; None if it can."""
    layer = network.layers[shortcut]
    if layer.kind != "shortcut":
        return f"layer {shortcut} is a [{layer.kind}], no [shortcut]"
    if len(layer.inputs) != 2:
        return f"it adds {len(layer.inputs)} layers"
    if layer.options.weights_type != "none":
        return f"it weights what it adds (weights_type={layer.options.weights_type})"
    if layer.options.activation != "linear":
        return f"without its branch, activation={layer.options.activation} would still change what it reads"
    if len(set(layer.input_shapes)) > 1:
        return f"it adds {layer.input_shapes[1]} to {layer.input_shapes[0]}"
    source, end = _summands(network, layer)
    inside = range(source + 1, shortcut)
    if not inside:
        return "it has no branch"
    reader = _reads_past(network, layer)
    if reader is not None:
        return f"layer {reader} adds its narrower sum, and Darknet might read past the end of what would be left"
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
    if _feeder(network, source, end) is None:
        return "its branch does not end in a convolution with batch norm"
    return None


def stand_ins(blocks: Iterable[ResidualBlock]) -> dict[int, int | None]:
    """What is read instead of each layer that goes with these blocks, as `without_layers` takes it."""
    result: dict[int, int | None] = {}
    for block in blocks:
        result |= dict.fromkeys(block.layers)
        result[block.shortcut] = block.source
    return result


def _summands(network: Network, shortcut: Layer) -> tuple[int, int]:
    """The layer that a shortcut adds to, and the last one of its branch.

    The branch is right before the shortcut, unless a [route] there copies the layer that the branch begins at.
    """
    before, named = shortcut.inputs
    layer = network.layers[before]
    if layer.kind == "route" and len(layer.inputs) == 1 and layer.options.groups == 1 and named == before - 1:
        return min(layer.inputs[0], named), named
    return named, before


def _feeder(network: Network, source: int, end: int) -> Layer | None:
    """The convolution whose channels the shortcut adds; what lies between passes constants on."""
    layer = network.layers[end]
    while layer.index > source and layer.kind in _PASS_ON and not isinstance(layer.rule, Fixed):
        layer = network.layers[layer.index - 1]
    fits = layer.index > source and layer.kind == "convolutional" and isinstance(layer.rule, Fresh)
    return layer if fits and layer.options.batch_normalize and len(layer.stored) == len(layer.arrays) else None


def _reads_past(network: Network, shortcut: Layer) -> int | None:
    """A wider sum that this one enters by name: there Darknet's way depends on what this one reads (network.py)."""
    for index in network.consumers(shortcut.index):
        reader = network.layers[index]
        if (reader.kind == "shortcut" and reader.inputs[1:] == (shortcut.index,)
                and reader.shape.channels > shortcut.shape.channels and reader.options.weights_type == "none"):
            return index
    return None


def _stages(network: Network) -> dict[int, int]:
    """The stage of each shortcut: that of a shortcut it adds to, or a new one."""
    stages: dict[int, int] = {}
    for layer in network.layers:
        if layer.kind == "shortcut":
            earlier = [stages[source] for source in layer.inputs if source in stages]
            stages[layer.index] = min(earlier) if earlier else max(stages.values(), default=-1) + 1
    return stages
