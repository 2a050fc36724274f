"""Folding what removed channels still added to the layers that read them: the activation offset.

A removed channel is not zero. With its gamma at 0 it emits act(beta) at every pixel, and that constant can move into
the batch norm or the bias of the convolution that reads it. It is exact where the window lies inside the map, hence
everywhere for 1x1 kernels and for kernels without padding. Under zero padding the pixels at the border saw fewer taps;
there the folded network differs, by the constant times the taps outside, and each later 3x3 carries the difference one
pixel further in - unless a carrier brings the constant as a channel (carriers.py), or an adder lets it stay (adders.py).
Source: the offset of Lam1360/YOLOv3-model-pruning and its successors, which reach leaky, mish and the next convolution only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from utils.darknet import IMAGE, Fixed, Layer, Network, Same, Weights
from utils.errors import PlanError
from utils.pruning.constants import (
    Constant,
    depthwise_shift,
    depthwise_taps,
    emitted,
    own_shift,
    pads,
    passed_on,
)
from utils.pruning.expected import expected_activation
from utils.pruning.groups import ChannelGroups, channel_groups
from utils.pruning.plan import Plan
from utils.pruning.selection import chosen_blocks, kept_classes

FoldName = Literal["exact", "beta", "mean", "exact-mean", "none"]
FOLDS: tuple[FoldName, ...] = get_args(FoldName)

Means = Mapping[int, np.ndarray]


@dataclass(frozen=True, eq=False)
class Carried:
    """One input channel of a convolution that stands for all that its block of inputs lacks.

    block: of the convolution's groups. position: the channel, counted within the block, at full width.
    shares: float64, shape (in / groups,); what each input lacks, in units of what the carrier emits.
    """

    block: int
    position: int
    shares: np.ndarray


@dataclass(frozen=True, eq=False)
class Fold:
    """What a convolution's inputs lack, summed over its kernel.

    offset: float64, shape (filters,); to subtract from the running mean, or to add to the bias. 0 for removed outputs,
    and for those whose block of inputs has a carrier.
    exact: whether the fold holds at every pixel, or only away from the border.
    carried: what carriers bring instead.
    """

    layer: int
    offset: np.ndarray
    exact: bool
    carried: tuple[Carried, ...] = ()


@dataclass(frozen=True, eq=False)
class Offset:
    """The constants of all layers, and the folds of the convolutions that read them.

    lost: layers that would have to read a constant and cannot: they bend it, or they cannot store it.
    """

    constants: tuple[Constant, ...]
    folds: Mapping[int, Fold]
    lost: tuple[int, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the folded network computes what the masked one does, at every pixel."""
        return not self.approximate_layers

    @property
    def approximate_layers(self) -> tuple[int, ...]:
        """Layers that the folded network computes approximately: convolutions at the border, and those that lost it."""
        return tuple(sorted({layer for layer, fold in self.folds.items() if not fold.exact} | set(self.lost)))

    def read_by(self, layer: Layer) -> Constant:
        """What the first input of a layer lacks."""
        source = layer.inputs[0]
        return Constant.zero(layer.input_shapes[0].channels) if source == IMAGE else self.constants[source]


def activation_offset(network: Network, weights: Weights, plan: Plan, fold: FoldName = "beta",
                      means: Means | None = None) -> Offset:
    """What the channels and blocks that a plan removes still emit, and what could be folded because of it.

    The numbers are those of inference: in training a batch norm re-estimates its mean and cancels any constant.

    Args:
        fold: which constant stands for a channel: act(beta) ("beta", "exact"), its expectation ("mean", "exact-mean"),
            or nothing ("none").
        means: measured means of each layer's output, {layer: shape (C,)}; the expectation is then this, and not that
            of act(x) for x drawn from N(beta, gamma^2).

    Raises:
        PlanError: as `kept_classes`, or an unknown fold.
    """
    groups = channel_groups(network)
    return offset_of_classes(network, weights, groups, kept_classes(network, groups, plan), plan.blocks, fold, means)


def offset_of_classes(network: Network, weights: Weights, groups: ChannelGroups, kept: np.ndarray,
                      blocks: tuple[int, ...] = (), fold: FoldName = "beta", means: Means | None = None) -> Offset:
    """The same for classes, `kept` being a bool for each of them, shape (groups.count,)."""
    if fold not in FOLDS:
        raise PlanError("--fold", f"'{fold}' is no way to fold constants", f"give one of {', '.join(FOLDS)}")
    walk = _Walk(network, weights, groups, kept, blocks, "none" if fold == "none" else
                 "mean" if fold in ("mean", "exact-mean") else "beta", means or {})
    for layer in network.layers:
        walk.add(layer)
    return Offset(tuple(walk.constants), walk.folds, tuple(walk.lost))


class _Walk:
    """Goes through the layers once and collects constants and folds."""

    def __init__(self, network: Network, weights: Weights, groups: ChannelGroups, kept: np.ndarray,
                 blocks: tuple[int, ...], constant: Literal["beta", "mean", "none"], means: Means) -> None:
        self._network, self._weights, self._groups, self._kept = network, weights, groups, kept
        self._constant, self._means = constant, means
        self._feeder = {layer: block.feeder for block in chosen_blocks(network, blocks) for layer in block.branch}
        self.constants: list[Constant] = []
        self.folds: dict[int, Fold] = {}
        self.lost: list[int] = []

    def add(self, layer: Layer) -> None:
        """The next layer."""
        if self._constant == "none":
            out = Constant.zero(layer.shape.channels)
        elif layer.index in self._feeder:
            out = self._in_branch(layer)
        elif layer.kind == "convolutional" and not isinstance(layer.rule, Fixed):
            out = self._convolution(layer)
        else:
            out = self._other(layer)
        self.constants.append(out)

    def _inputs(self, layer: Layer) -> list[Constant]:
        return [Constant.zero(self._network.net.channels) if source == IMAGE else self.constants[source]
                for source in layer.inputs]

    def _in_branch(self, layer: Layer) -> Constant:
        """Inside a block that goes: nothing up to its last convolution, from there on what it emits."""
        channels = layer.shape.channels
        if layer.index < self._feeder[layer.index]:
            return Constant.zero(channels)
        everything = np.ones(channels, dtype=bool)
        if layer.index == self._feeder[layer.index]:
            return self._measured(layer, self._own(layer), everything)
        return self._measured(layer, passed_on(layer, self._inputs(layer), self._arrays(layer), everything), everything)

    def _convolution(self, layer: Layer) -> Constant:
        arrays, removed = self._arrays(layer), self._removed(layer)
        x = self._inputs(layer)[0]
        multiplier = layer.rule.multiplier if isinstance(layer.rule, Same) else 0  # of a depthwise convolution
        depthwise = multiplier > 0
        if x.values.any() or not self._kept[self._groups.vector(layer.inputs[0])].all():
            self.folds[layer.index] = _depthwise_fold(layer, x, ~removed, arrays, multiplier) if depthwise \
                else _fold(layer, x, ~removed, arrays["weight"])
        if not removed.any():
            return Constant.zero(len(removed))
        if depthwise and (self._constant == "beta" or "gamma" not in arrays):
            out = emitted(layer, depthwise_shift(layer, x, arrays))
            if not pads(layer):  # where it pads, the masked network emits this at every pixel (surgery.py)
                out = Constant(out.values, out.exact & np.repeat(x.exact, multiplier))
        else:
            out = self._own(layer)
        return self._measured(layer, out, removed).only(removed)

    def _other(self, layer: Layer) -> Constant:
        inputs, removed = self._inputs(layer), self._removed(layer)
        out = self._measured(layer, passed_on(layer, inputs, self._arrays(layer), removed), removed)
        if not out.exact[~removed].all() and not out.values[~removed].any() and any(x.values.any() for x in inputs):
            self.lost.append(layer.index)
        return out

    def _own(self, layer: Layer) -> Constant:
        """What a convolution emits on average, or with its gamma at 0."""
        arrays = self._arrays(layer)
        shift = own_shift(layer, arrays)
        if self._constant == "beta" or "gamma" not in arrays:
            return emitted(layer, shift)
        spread = np.abs(arrays["gamma"].astype(np.float64))
        return Constant(expected_activation(layer.options.activation, shift, spread), np.ones(len(shift), dtype=bool))

    def _measured(self, layer: Layer, out: Constant, channels: np.ndarray) -> Constant:
        measured = self._means.get(layer.index) if self._constant == "mean" else None
        return out if measured is None else out.with_values(measured, channels)

    def _arrays(self, layer: Layer) -> Mapping[str, np.ndarray]:
        return self._weights.layers[layer.index]

    def _removed(self, layer: Layer) -> np.ndarray:
        return ~self._kept[self._groups.vectors[layer.index]]


def _fold(layer: Layer, x: Constant, kept: np.ndarray, weight: np.ndarray) -> Fold:
    """Sum over inputs of (sum of the kernel's taps) times the constant; touches only columns that lack something."""
    offset = np.zeros(len(kept))
    blocks = layer.options.groups
    per_block = x.values.reshape(blocks, -1)
    for values, rows in zip(per_block, np.split(np.arange(len(kept)), blocks), strict=True):
        columns = np.flatnonzero(values)
        rows = rows[kept[rows]]
        if len(columns) and len(rows):
            taps = weight[np.ix_(rows, columns)].reshape(len(rows), -1)
            offset[rows] = taps.astype(np.float64) @ np.repeat(values[columns], weight[0, 0].size)
    return Fold(layer.index, offset, _is_exact(layer, x))


def _depthwise_fold(layer: Layer, x: Constant, kept: np.ndarray, arrays: Mapping[str, np.ndarray],
                    multiplier: int) -> Fold:
    """What a summand that channels lack does to the depthwise convolution behind it."""
    stays = np.repeat(x.values != 0, multiplier) & kept
    return Fold(layer.index, np.where(kept, depthwise_taps(x, arrays), 0.0), not stays.any() or _is_exact(layer, x))


def _is_exact(layer: Layer, x: Constant) -> bool:
    return bool(x.exact.all()) and (not pads(layer) or not x.values.any())
