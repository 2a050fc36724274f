"""Folding what removed channels still added to the layers that read them: the activation offset.

A removed channel is not zero. With its gamma at 0 it emits act(beta) at every pixel, and that constant can move into
the batch norm or the bias of the convolution that reads it. It is exact where the window lies inside the map, hence
everywhere for 1x1 kernels and for kernels without padding. Under zero padding the pixels at the border saw fewer taps;
there the folded network differs, by the constant times the taps outside, and each later 3x3 carries the difference one
pixel further in. Source: the offset of Lam1360/YOLOv3-model-pruning and its successors, which reach leaky, mish and the
next convolution only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from utils.darknet import IMAGE, Layer, Network, Same, Weights
from utils.pruning.constants import Constant, depthwise_constant, fresh_constant, pads, passed_on
from utils.pruning.groups import ChannelGroups, channel_groups
from utils.pruning.plan import Plan
from utils.pruning.selection import kept_classes


@dataclass(frozen=True, eq=False)
class Fold:
    """What the removed inputs of a convolution added to its kept outputs.

    offset: float64, shape (filters,); to subtract from the running mean, or to add to the bias. 0 for removed outputs.
    exact: whether the fold holds at every pixel, or only away from the border.
    """

    layer: int
    offset: np.ndarray
    exact: bool


@dataclass(frozen=True, eq=False)
class Offset:
    """The constants of all layers, and the folds of the convolutions that read removed channels."""

    constants: tuple[Constant, ...]
    folds: Mapping[int, Fold]

    @property
    def exact(self) -> bool:
        """Whether the folded network computes what the masked one does, at every pixel."""
        return all(fold.exact for fold in self.folds.values())

    @property
    def approximate_layers(self) -> tuple[int, ...]:
        """Convolutions whose fold is wrong at the border."""
        return tuple(layer for layer, fold in self.folds.items() if not fold.exact)


def activation_offset(network: Network, weights: Weights, plan: Plan) -> Offset:
    """What the channels that a plan removes still emit, and what `apply_plan` folds because of it.

    The numbers are those of inference: in training a batch norm re-estimates its mean and cancels any constant.

    Raises:
        PlanError: as `kept_classes`.
    """
    groups = channel_groups(network)
    return offset_of_classes(network, weights, groups, kept_classes(network, groups, plan))


def offset_of_classes(network: Network, weights: Weights, groups: ChannelGroups, kept: np.ndarray) -> Offset:
    """The same for classes, `kept` being a bool for each of them, shape (groups.count,)."""
    constants: list[Constant] = []
    folds: dict[int, Fold] = {}
    image = Constant.zero(network.net.channels)
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        inputs = [image if source == IMAGE else constants[source] for source in layer.inputs]
        removed = ~kept[groups.vectors[layer.index]]
        if layer.kind != "convolutional":
            out = passed_on(layer, inputs, arrays)
        elif isinstance(layer.rule, Same):
            out = depthwise_constant(layer, inputs[0], arrays) if removed.any() else Constant.zero(len(removed))
        else:
            gone = ~kept[groups.vector(layer.inputs[0])]
            if gone.any():
                folds[layer.index] = _fold(layer, inputs[0].only(gone), ~removed, arrays["weight"])
            out = fresh_constant(layer, arrays) if removed.any() else Constant.zero(len(removed))
        constants.append(out.only(removed))
    return Offset(tuple(constants), folds)


def _fold(layer: Layer, x: Constant, kept: np.ndarray, weight: np.ndarray) -> Fold:
    """Sum over removed inputs of (sum of the kernel's taps) times the constant; touches only their columns."""
    offset = np.zeros(len(kept))
    blocks = layer.options.groups
    per_block = x.values.reshape(blocks, -1)
    for values, rows in zip(per_block, np.split(np.arange(len(kept)), blocks), strict=True):
        columns = np.flatnonzero(values)
        rows = rows[kept[rows]]
        if len(columns) and len(rows):
            taps = weight[np.ix_(rows, columns)].reshape(len(rows), -1)
            offset[rows] = taps.astype(np.float64) @ np.repeat(values[columns], weight[0, 0].size)
    constant = bool(x.exact.all())
    return Fold(layer.index, offset, constant and (not pads(layer) or not x.values.any()))
