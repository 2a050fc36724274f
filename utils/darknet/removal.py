"""Taking layers out of a cfg: their text goes, and every reference to a layer is rewritten as it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping

from utils.darknet.network import Layer, Network, build_network
from utils.darknet.sections import HEADS
from utils.darknet.shape import IMAGE
from utils.errors import CfgError

_REFERENCES: Mapping[str, str] = {  # kind of section: the option that names other layers
    "route": "layers",
    "shortcut": "from",
    "scale_channels": "from",
    "sam": "from",
    "convolutional": "share_index",
    **dict.fromkeys(sorted(HEADS), "embedding_layer"),
}
_NUMBER = re.compile(r"[+-]?\d+")


def without_layers(network: Network, stand_ins: Mapping[int, int | None]) -> Network:
    """The network without some of its layers; comments, spelling and line ends of the rest stay.

    A removed section takes its lines along: from its [name], and comments that stand directly above, to its last option and
    the blank lines behind. References are resolved, mapped and written back in their style: what counted back from its own
    layer still does, what named a layer by number still does.

    Args:
        stand_ins: for each removed layer the one that its readers shall read instead, itself removed or not; None where no
            layer that stays reads it.

    Raises:
        CfgError: a layer that stays reads one that has no stand-in, or would read another layer before it than its
            stand-in; or what is left makes no network.
    """
    if not stand_ins:
        return network
    stays = [layer for layer in network.layers if layer.index not in stand_ins]
    place = {layer.index: number for number, layer in enumerate(stays)}
    changes: dict[int, dict[str, str]] = {}
    for number, layer in enumerate(stays):
        before = stays[number - 1].index if number else IMAGE
        if layer.kind != "route" and layer.index - 1 in layer.inputs:
            _check_before(layer, before, stand_ins)
        key = _REFERENCES.get(layer.kind)
        if key is None or network.document.sections[layer.index + 1].get(key) is None:
            continue
        text = network.document.written(layer.index + 1, key)
        moved = _NUMBER.sub(lambda match, layer=layer: _moved(match[0], layer, stand_ins, place), text)
        if moved != text:
            changes[layer.index + 1] = {key: moved}
    document = network.document.edited(changes)
    return build_network(document.without(index + 1 for index in stand_ins))


def _moved(text: str, layer: Layer, stand_ins: Mapping[int, int | None], place: Mapping[int, int]) -> str:
    value = int(text)
    old = value if value >= 0 else layer.index + value
    new = place[_resolved(old, layer, stand_ins)]
    moved = new if value >= 0 else new - place[layer.index]
    return text if moved == value else str(moved)


def _resolved(index: int, reader: Layer, stand_ins: Mapping[int, int | None]) -> int:
    """The layer that stays and is read in the place of layer `index`."""
    while index in stand_ins:
        instead = stand_ins[index]
        if instead is None:
            raise CfgError(reader.where, f"layer {reader.index} reads layer {index}, which would go without a stand-in",
                           "remove both, or say what it shall read instead")
        index = instead
    return index


def _check_before(layer: Layer, before: int, stand_ins: Mapping[int, int | None]) -> None:
    wanted = _resolved(layer.index - 1, layer, stand_ins)
    if wanted != before:
        raise CfgError(layer.where, f"layer {layer.index} reads the layer before it, which would be layer {before} "
                       f"instead of {wanted}", "remove the layers between, too")
