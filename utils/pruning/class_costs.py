"""What each class of channels costs: what would be saved if it alone went, at the widths that are left."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal, get_args

import numpy as np

from utils.darknet import Layer, Network, Same
from utils.pruning.groups import ChannelGroups

Savings = Callable[[Layer, int, int], tuple[float, float]]
UnitName = Literal["parameters", "macs"]
COST_UNITS: tuple[UnitName, ...] = get_args(UnitName)
CostUnit = UnitName | Savings
"""What to save: numbers in the file, multiply-adds, or anything else that is known of a convolution and its two widths."""


def class_costs(network: Network, groups: ChannelGroups, kept: np.ndarray, unit: CostUnit,
                gone: Collection[int] = ()) -> np.ndarray:
    """Numbers in the .weights file, or multiply-adds for one image, that go with each class; float64, (groups.count,).

    What convolutions save that make the class, and those that read it. The multiply-adds of other layers are few, and are
    not counted.

    Args:
        kept: bool per class: which ones are left. gone: layers that went whole.
    """
    costs = np.zeros(groups.count)
    for layer in network.layers:
        if layer.kind != "convolutional" or layer.index in gone:
            continue
        made, read = groups.vectors[layer.index], groups.vector(layer.inputs[0])
        makes, reads = channel_savings(layer, int(kept[made].sum()), int(kept[read].sum()), unit)
        np.add.at(costs, made, makes)
        np.add.at(costs, read, reads)
        if reads:
            both = np.bincount(made, minlength=groups.count) * np.bincount(read, minlength=groups.count)
            costs -= both * reads / max(1, kept[made].sum())  # these weights go once, not twice
    return costs


def channel_savings(layer: Layer, filters: int, channels: int, unit: CostUnit) -> tuple[float, float]:
    """What a convolution of so many filters, reading so many channels, saves with one filter less, and with one input less."""
    if callable(unit):
        return unit(layer, filters, channels)
    options = layer.options
    taps = options.size**2
    if isinstance(layer.rule, Same):
        makes, reads = taps, 0.0
    else:
        makes, reads = channels / options.groups * taps, filters / options.groups * taps
    if unit == "macs":
        pixels = layer.shape.height * layer.shape.width
        return makes * pixels, reads * pixels
    return makes + (4 if options.batch_normalize else 1), reads


def layer_cost(layer: Layer, groups: ChannelGroups, kept: np.ndarray, unit: CostUnit) -> float:
    """What a whole convolution costs at the widths that are left."""
    filters, channels = int(kept[groups.vectors[layer.index]].sum()), int(kept[groups.vector(layer.inputs[0])].sum())
    return filters * channel_savings(layer, filters, channels, unit)[0]
