"""Taking layers out of a cfg: their text goes, and every reference to a layer is rewritten as it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

from utils.darknet.network import Layer, Network, build_network
from utils.darknet.option_reader import LARGEST
from utils.darknet.sections import HEADS
from utils.darknet.shape import IMAGE
from utils.errors import CfgError

REFERENCES: Mapping[str, str] = {  # kind of section: the option that names other layers
    "route": "layers",
    "shortcut": "from",
    "scale_channels": "from",
    "sam": "from",
    "convolutional": "share_index",
    **dict.fromkeys(sorted(HEADS), "embedding_layer"),
}
_NUMBER = re.compile(r"(?:[+-][ \t\r]*)?[0-9](?:[0-9 \t\r]*[0-9])?")  # Darknet drops blanks before it reads


def without_layers(network: Network, stand_ins: Mapping[int, int | None]) -> Network:
    """The network without some of its layers; comments, spelling and line ends of the rest stay.

    A removed section takes its lines along: from its [name], and comments that stand directly above, to its last option and
    the blank lines behind. References are resolved, mapped and written back in their style: what counted back from its own
    layer still does, what named a layer by number still does.

    Args:
        stand_ins: for each removed layer the one that its readers shall read instead, itself removed or not; None where no
            layer that stays reads it.

    Raises:
        CfgError: a layer is not there, or stands in for an earlier one; a layer that stays reads (or shares the weights of) one that has no stand-in, or would read another layer before it than its
            stand-in; or what is left makes no network.
    """
    if not stand_ins:
        return network
    _check(network, stand_ins)
    stays = [layer for layer in network.layers if layer.index not in stand_ins]
    place = {layer.index: number for number, layer in enumerate(stays)}
    changes: dict[int, dict[str, str]] = {}
    for number, layer in enumerate(stays):
        before = stays[number - 1].index if number else IMAGE
        if layer.kind != "route" and layer.index - 1 in layer.inputs:
            _check_before(layer, before, stand_ins)
        key = REFERENCES.get(layer.kind)
        if key is None or network.document.sections[layer.index + 1].get(key) is None:
            continue
        text = network.document.written(layer.index + 1, key)
        new = partial(_moved, layer=layer, stand_ins=stand_ins, place=place)
        moved = ",".join(_NUMBER.sub(new, item, count=1) for item in text.split(","))
        if moved != text:
            changes[layer.index + 1] = {key: moved}
    document = network.document.edited(changes)
    return build_network(document.without(index + 1 for index in stand_ins))


def _check(network: Network, stand_ins: Mapping[int, int | None]) -> None:
    """Every layer exists, and is replaced by an earlier one: so chains of stand-ins end."""
    for index, instead in stand_ins.items():
        if not 0 <= index < len(network.layers):
            raise CfgError(network.path, f"has {len(network.layers)} layers, so layer {index} cannot be removed",
                           "name layers that are there")
        if instead is not None and not 0 <= instead < index:
            raise CfgError(network.layers[index].where, f"layer {instead} cannot stand in for layer {index}",
                           "name an earlier layer")


def _moved(match: re.Match[str], layer: Layer, stand_ins: Mapping[int, int | None], place: Mapping[int, int]) -> str:
    text = match[0]
    if layer.kind in HEADS and len(text) > len(str(LARGEST)):
        return text  # we read no embedding_layer, so nobody has checked it
    value = int("".join(text.split()))
    old = value if value >= 0 else layer.index + value
    if layer.kind in HEADS and not 0 <= old < len(place) + len(stand_ins):
        return text  # Darknet's default, 999999, means none
    new = place[_owner(old, layer, stand_ins) if layer.kind == "convolutional" else _resolved(old, layer, stand_ins)]
    moved = new if value >= 0 else new - place[layer.index]
    return text if moved == value else str(moved)


def _owner(index: int, reader: Layer, stand_ins: Mapping[int, int | None]) -> int:
    """Whose weights are shared: no stand-in has them, but layer `index` may share those of a layer that stays."""
    for found in (index, reader.options.share_index):
        if found not in stand_ins:
            return found
    raise CfgError(reader.where, f"layer {reader.index} shares the weights of layer {index}, which would go",
                   "remove both, or neither")


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
