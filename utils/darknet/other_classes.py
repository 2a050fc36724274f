"""The same network for another number of classes: which lines change, and for how many classes a file was trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from utils.darknet.network import Layer, Network
from utils.darknet.sections import Convolutional
from utils.darknet.shape import IMAGE
from utils.darknet.weights import float_count
from utils.errors import CfgError

# Layers with a filters= of their own: here a walk back from a head ends.
_WITH_FILTERS = ("convolutional", "connected", "implicit")
_MOST_CLASSES = 10_000  # yolo9000 has 9418; a length that asks for more is chance


def head_convolutions(network: Network) -> tuple[int, ...]:
    """The convolutions whose outputs enter the heads, in cfg order; mostly those right before them.

    The way back from a head passes through layers without kernels, such as [route] and [activation]. Of convolutions
    that share weights (share_index) all are named.
    """
    return _with_shared(network, (index for head in network.heads for index in _feeding(network, head)))


def with_classes(network: Network, classes: int) -> Network:
    """The network with `classes` in every head, and the filters= that this asks for in the convolutions before them.

    Raises:
        CfgError: what enters a head is put together from several maps, so no filters= follows from the classes; or
            `classes` is no number of classes.
    """
    changes: dict[int, dict[str, str]] = {}
    for head in network.heads:
        options = head.options
        filters = options.per_cell * (options.entries + classes)
        for index in _with_shared(network, _feeding(network, head)):
            layer = network.layers[index]
            if layer.kind != "convolutional" or layer.shape.channels != options.channels:
                raise CfgError(layer.where, f"layer {index} ([{layer.kind}]) gives layer {head.index}, a [{head.kind}] head, "
                               f"{layer.shape.channels} of the {options.channels} channels that it reads, so no filters= "
                               "follows from the classes", "put a convolution right before the head")
            changes[index] = {"filters": str(filters)}
        changes[head.index] = {"classes": str(classes)}
    return network.with_options(changes) if changes else network


def lines_for_classes(network: Network, classes: int) -> dict[int, str]:
    """What to write on which lines of the cfg so that every head knows `classes`: {23: "filters=21", 30: "classes=2"}.

    Lines count from 1; a value that is not written stands for its section's line. A head that does not read a convolution
    changes its classes= only: which filters= to change with it, no rule says. Empty where nothing has to change.
    """
    changes: dict[int, str] = {}
    for head in network.heads:
        options = head.options
        if options.classes == classes:
            continue
        feeding = head.inputs[0]
        if feeding != IMAGE and network.layers[feeding].kind == "convolutional":
            entries = options.channels // options.per_cell - options.classes
            changes[line_of(network, feeding, "filters")] = f"filters={options.per_cell * (entries + classes)}"
        changes[line_of(network, head.index, "classes")] = f"classes={classes}"
    return changes


def line_of(network: Network, layer: int, key: str) -> int:
    """The line of an option of a layer, or of its section where it is not written; counts from 1."""
    section = network.document.sections[layer + 1]
    option = section.by_key.get(key)
    return option.line if option else section.line


def classes_in_file(path: str | Path, network: Network) -> int | None:
    """For how many classes a .weights file must have been trained if it belongs to this cfg but for its classes.

    The number of floats that a cfg asks for is linear in its classes, so the length of the file says it. None if no
    number of classes explains the length, or the network has no heads whose number could change.

    Raises:
        WeightsError: the file cannot be read, or is no .weights file.
    """
    return classes_for_length(network, float_count(path))


def classes_for_length(network: Network, floats: int) -> int | None:
    """The number of classes with which the cfg asks for that many floats, or None."""
    if not network.heads:
        return None
    try:
        one, two = (with_classes(network, classes).parameters for classes in (1, 2))
    except CfgError:
        return None
    if two <= one or floats < one or (floats - one) % (two - one):
        return None
    classes = 1 + (floats - one) // (two - one)
    return classes if classes <= _MOST_CLASSES else None


def _feeding(network: Network, head: Layer) -> Iterator[int]:
    """The layers with filters= behind a head's input, each once."""
    waiting, seen = list(head.inputs), set()
    while waiting:
        index = waiting.pop()
        if index == IMAGE or index in seen:
            continue
        seen.add(index)
        layer = network.layers[index]
        if layer.kind in _WITH_FILTERS:
            yield index
        else:
            waiting += layer.inputs


def _with_shared(network: Network, indices: Iterable[int]) -> tuple[int, ...]:
    """The layers, and those that use the same weights."""
    found = set(indices)
    owners = {_owner(network.layers[index]) for index in found}
    return tuple(layer.index for layer in network.layers if layer.index in found or _owner(layer) in owners)


def _owner(layer: Layer) -> int:
    """The layer whose weights it uses: its own index, if it shares none."""
    options = layer.options
    shares = isinstance(options, Convolutional) and options.share_index is not None
    return options.share_index if shares else layer.index
