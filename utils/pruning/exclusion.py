"""Layers that the well-known scripts leave alone, for those who want their results again; nothing here needs them."""

from __future__ import annotations

from typing import Literal, get_args

from utils.darknet import Layer, Network
from utils.errors import PlanError

Exclusion = Literal["none", "ancestor"]
EXCLUSIONS: tuple[Exclusion, ...] = get_args(Exclusion)


def excluded_layers(network: Network, exclude: Exclusion, *, shortcuts: bool = False) -> frozenset[int]:
    """The convolutions that keep all their channels, in the sense of tanluren/yolov3-channel-and-layer-pruning.

    "ancestor": those right before a maxpool that a route follows (the entry of an SPP), right before a route with
    groups, and right before an upsample. With `shortcuts` also those that a shortcut adds: the one before it, and the one
    that it names, or the one before the shortcut that it names. "none": no layer.

    Raises:
        PlanError: there is no such exclusion.
    """
    if exclude not in EXCLUSIONS:
        raise PlanError("", f"exclude={exclude} is no set of layers", f"give one of {', '.join(EXCLUSIONS)}")
    if exclude == "none":
        return frozenset()
    layers = network.layers
    found = {layer.index for layer in layers if layer.kind == "convolutional" and _leads_into(layers[layer.index + 1:])}
    if shortcuts:
        for layer in (layer for layer in layers if layer.kind == "shortcut"):
            for source in layer.inputs:
                found.add(source - 1 if source > 0 and layers[source].kind == "shortcut" else source)
    return frozenset(index for index in found if index >= 0 and layers[index].kind == "convolutional")


def _leads_into(following: tuple[Layer, ...]) -> bool:
    kinds = tuple(layer.kind for layer in following[:2])
    grouped = kinds[:1] == ("route",) and following[0].options.groups > 1
    return grouped or kinds[:1] == ("upsample",) or kinds == ("maxpool", "route")
