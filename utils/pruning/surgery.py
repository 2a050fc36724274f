"""Surgery: a network and its weights after a plan, as pure functions of the three."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.darknet import Fixed, Fresh, Layer, Network, Same, Weights, check_arrays, without_layers
from utils.pruning.adders import WithAdders, blocks_behind, with_adders
from utils.pruning.blocks import stand_ins
from utils.pruning.carriers import CARRIER_BETA, carriers
from utils.pruning.constants import depthwise_shift, own_shift, pads
from utils.pruning.groups import ChannelGroups, channel_groups
from utils.pruning.offset import Fold, FoldName, Means, Offset, offset_of_classes
from utils.pruning.plan import Plan
from utils.pruning.selection import chosen_blocks, kept_classes, removed_layers
from utils.pruning.spare import with_spare_channels

Arrays = Mapping[str, np.ndarray]


def apply_plan(network: Network, weights: Weights, plan: Plan, fold: FoldName = "beta",
               means: Means | None = None) -> tuple[Network, Weights]:
    """Cut the channels and residual blocks that a plan removes, and fold the constants that they emitted.

    With the fold "beta" the result computes what `masked_weights` computes, except near the border behind padded kernels
    (see offset.py) and where a layer bends what a block added; with "exact" also there, for at most one more channel per
    set of layers that are cut together, and one adder for some of the blocks (adders.py).
    Nothing given is changed; arrays that no channel was cut from are shared with `weights`. The cfg's text changes in
    `filters=` (and `groups=` of depthwise convolutions), and where sections went in references to layers. The header's `seen`
    becomes 0, or Darknet would end the fine-tuning at once. A plan that keeps everything changes no other byte.

    Args:
        fold: what becomes of the constants, see `activation_offset`; "exact" and "exact-mean" use carriers and adders.
        means: measured means of each layer's output, for the two mean folds.

    Raises:
        PlanError: the plan does not belong to the network, or cannot be followed (see `kept_classes`).
        WeightsError: the weights do not belong to the network, or are the beginning of a file only.
    """
    return cut_out(carried_out(network, weights, plan, fold, means))


def cut_out(cut: CarriedOut) -> tuple[Network, Weights]:
    """The last step of `apply_plan`: what `carried_out` decided, done."""
    removed = removed_layers(chosen_blocks(cut.network, cut.blocks))
    layers: list[Arrays] = []
    for layer, arrays in zip(cut.network.layers, cut.weights.layers, strict=True):
        if layer.index in removed:
            continue
        flags = _Cut.of(layer, cut.groups, cut.kept | cut.blank)
        blank = _Cut.of(layer, cut.groups, cut.blank)
        folded = _folded(layer, arrays, cut.folds.get(layer.index), blank)
        if blank.out.any() and layer.kind == "convolutional":
            folded = silenced(folded, *cut.constants_of(layer))
        layers.append(_cut_arrays(layer, folded, flags))
    smaller = _cut_network(cut.network, cut.groups, cut.kept | cut.blank, cut.blocks)
    result = Weights(replace(cut.weights.header, seen=0), tuple(layers), len(layers))
    check_arrays(smaller, result)
    return smaller, result


def planned_network(network: Network, plan: Plan) -> Network:
    """What `apply_plan` makes of the cfg alone, without carriers and adders: what a plan would cost, before anything is cut.

    Raises:
        PlanError: as `apply_plan`.
    """
    groups = channel_groups(network)
    return _cut_network(network, groups, kept_classes(network, groups, plan), plan.blocks)


def _cut_network(network: Network, groups: ChannelGroups, stays: np.ndarray, blocks: tuple[int, ...]) -> Network:
    """The cfg with the widths of the classes that stay, and without the blocks that go."""
    chosen = chosen_blocks(network, blocks)
    left = [layer for layer in network.layers if layer.index not in removed_layers(chosen)]
    changes = {place: _options(layer, flags) for place, layer in enumerate(left)
               if layer.kind == "convolutional" and not (flags := _Cut.of(layer, groups, stays)).out.all()}
    smaller = without_layers(network, stand_ins(chosen))
    return smaller.with_options(changes) if changes else smaller


@dataclass(frozen=True, eq=False)
class CarriedOut:
    """A plan worked out for a network: what stays, what stays as a constant, and what is folded.

    network, weights: those given, or with adders in the place of blocks, and with spare channels where a carrier needs
    room. kept, blank, own: bool per class of `groups`, own being those of the blank that keep the constant they had. blocks:
    the [shortcut]s whose blocks go without an adder. offset: as found; folds: as carried out, with carriers. origins: for each
    layer its index in the network that was given, for an adder that of the [shortcut] whose place it takes; adders: these.
    spares: per layer a bool for each channel, whether it is a spare one; None where there is none.
    """

    network: Network
    weights: Weights
    groups: ChannelGroups
    kept: np.ndarray
    blank: np.ndarray
    own: np.ndarray
    blocks: tuple[int, ...]
    folds: Mapping[int, Fold]
    offset: Offset
    origins: tuple[int, ...]
    adders: tuple[int, ...] = ()
    spares: Sequence[np.ndarray] | None = None

    def constants_of(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Which channels of a convolution it shall give as constants, and what these have before the activation, (filters,).

        What reads a channel alone, and does not pad, hands an own constant on as the masked network does: as it comes.
        """
        arrays, own = self.weights.layers[layer.index], self.own[self.groups.vectors[layer.index]]
        blank, depthwise = self.blank[self.groups.vectors[layer.index]], isinstance(layer.rule, Same)
        shift = depthwise_shift(layer, self.offset.read_by(layer), arrays) if depthwise else own_shift(layer, arrays)
        return blank & ~(own & (depthwise and not pads(layer))), np.where(own, shift, CARRIER_BETA)

    @property
    def approximate_layers(self) -> tuple[int, ...]:
        """Layers of the network that was given which the smaller one computes approximately: convolutions at the border,
        and those that lost a constant."""
        return tuple(self.origins[index] for index in replace(self.offset, folds=self.folds).approximate_layers)


def carried_out(network: Network, weights: Weights, plan: Plan, fold: FoldName = "beta",
                means: Means | None = None) -> CarriedOut:
    """Everything that `apply_plan` decides before it cuts; errors and arguments as there."""
    check_arrays(network, weights)
    groups = channel_groups(network)
    kept = kept_classes(network, groups, plan)
    given = WithAdders(network, weights, groups, kept, plan.blocks, tuple(range(len(network.layers))))
    while True:
        offset = offset_of_classes(given.network, given.weights, given.groups, given.kept, given.blocks, fold,
                                   given.means(means or {}))
        if fold not in ("exact", "exact-mean"):
            nothing = np.zeros_like(kept)
            return CarriedOut(network, weights, groups, kept, nothing, nothing, plan.blocks, offset.folds, offset,
                              given.origins)
        found = _with_carriers(given, offset, fold, means or {}, int(plan.parameters.get("round_to") or 1))
        blocks = blocks_behind(given, offset, replace(found.offset, folds=found.folds).approximate_layers)
        if not blocks:
            return found
        given = with_adders(given, blocks, offset)


def _with_carriers(given: WithAdders, offset: Offset, fold: FoldName, means: Means, round_to: int) -> CarriedOut:
    """Carriers where there is one to be had, in spare channels where no channel that goes can be one; else own constants."""
    network, weights, groups, kept, blocks = given.network, given.weights, given.groups, given.kept, given.blocks
    found = carriers(network, weights, groups, kept, blocks, offset, round_to)
    wider = with_spare_channels(network, weights, groups, kept, found.unserved) if found.unserved else None
    if wider is not None:
        network, weights, groups, kept = wider.network, wider.weights, wider.groups, wider.kept
        offset = offset_of_classes(network, weights, groups, kept, blocks, fold, wider.means(given.means(means)))
    if found.unserved:
        found = carriers(network, weights, groups, kept, blocks, offset, round_to, own_constants=fold == "exact")
    return CarriedOut(network, weights, groups, kept, found.blank, found.own, blocks, found.folds, offset, given.origins,
                      given.adders, wider.spares if wider else None)


def masked_weights(network: Network, weights: Weights, plan: Plan) -> Weights:
    """Weights of full width in which the removed channels are constants: what `apply_plan` cuts, before the cut.

    Where a convolution makes a removed channel its gamma and kernel become 0; beta and bias stay. So it is for the last convolution of a residual block that goes. A depthwise convolution that reads a removed
    channel and pads emits at every pixel what it would emit inside the map. Other arrays are shared.

    Raises:
        PlanError, WeightsError: as `apply_plan`.
    """
    check_arrays(network, weights)
    groups = channel_groups(network)
    kept = kept_classes(network, groups, plan)
    blocks = chosen_blocks(network, plan.blocks)
    gone = removed_layers(blocks)
    offset = offset_of_classes(network, weights, groups, kept, plan.blocks)
    changes: dict[int, Arrays] = {}
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        if layer.kind != "convolutional" or isinstance(layer.rule, Fixed) or layer.index in gone:
            continue
        removed = ~kept[groups.vectors[layer.index]]
        if not removed.any():
            continue
        if not isinstance(layer.rule, Same):
            changes[layer.index] = silenced(arrays, removed)
        elif pads(layer):
            changes[layer.index] = silenced(arrays, removed, depthwise_shift(layer, offset.read_by(layer), arrays))
    for block in blocks:
        arrays = weights.layers[block.feeder]
        changes[block.feeder] = silenced(arrays, np.ones(len(arrays["weight"]), dtype=bool))
    return weights.with_layers(changes)


def silenced(arrays: Arrays, rows: np.ndarray, shift: np.ndarray | float | None = None) -> dict[str, np.ndarray]:
    """A convolution's arrays with these filters constant: kernel and gamma 0.

    rows: bool, shape (filters,). shift: new beta or bias of these filters; None leaves it as it is.
    """
    quiet = dict(arrays)
    for name in {"weight", "gamma"} & set(arrays):
        quiet[name] = arrays[name].copy()
        quiet[name][rows] = 0
    if shift is not None:
        offset = "beta" if "beta" in arrays else "bias"
        quiet[offset] = np.where(rows, shift, arrays[offset]).astype(np.float32)
    return quiet


@dataclass(frozen=True, eq=False)
class _Cut:
    """Which channels of a layer's output and of its first input stay; bool, shape (C,) each."""

    out: np.ndarray
    read: np.ndarray

    @classmethod
    def of(cls, layer: Layer, groups: ChannelGroups, kept: np.ndarray) -> _Cut:
        out = kept[groups.vectors[layer.index]]
        return cls(out, kept[groups.vector(layer.inputs[0])] if layer.inputs else out)


def _options(layer: Layer, cut: _Cut) -> dict[str, str]:
    changes = {"filters": str(int(cut.out.sum()))}
    if isinstance(layer.rule, Same):
        changes["groups"] = str(int(cut.read.sum()))
    return changes


def _folded(layer: Layer, arrays: Arrays, fold: Fold | None, blank: _Cut) -> Arrays:
    """Arrays of full width with the fold in them, and with the columns that carriers need."""
    if layer.kind != "convolutional" or not arrays:
        return arrays
    folded = dict(arrays)
    if fold is not None and fold.offset.any():
        name, sign = ("mean", -1) if layer.options.batch_normalize else ("bias", 1)
        folded[name] = (arrays[name].astype(np.float64) + sign * fold.offset).astype(np.float32)
    if blank.read.any() and isinstance(layer.rule, Fresh):
        folded["weight"] = _with_columns(layer, arrays["weight"], fold, blank.read)
    return folded


def _with_columns(layer: Layer, weight: np.ndarray, fold: Fold | None, blank: np.ndarray) -> np.ndarray:
    """A kernel that ignores constant inputs, but for the carriers that its fold names."""
    blocks = layer.options.groups
    result = weight.copy()
    for rows, columns in zip(np.split(result, blocks), blank.reshape(blocks, -1), strict=True):
        rows[:, columns] = 0
    for one in fold.carried if fold is not None else ():
        block = slice(one.block * len(weight) // blocks, (one.block + 1) * len(weight) // blocks)
        lacking = np.flatnonzero(one.shares)
        result[block, one.position] = np.einsum("oikl,i->okl", weight[block, lacking], one.shares[lacking])
    return result


def _cut_arrays(layer: Layer, arrays: Arrays, cut: _Cut) -> Arrays:
    slicer = SLICERS.get(layer.kind)
    if slicer is None or not arrays or (cut.out.all() and cut.read.all()):
        return arrays
    return slicer(layer, arrays, cut)


def _slice_convolution(layer: Layer, arrays: Arrays, cut: _Cut) -> Arrays:
    sliced = {name: array[cut.out] for name, array in arrays.items() if name != "weight"}
    return {**sliced, "weight": _slice_kernel(layer, arrays["weight"], cut)}


def _slice_kernel(layer: Layer, weight: np.ndarray, cut: _Cut) -> np.ndarray:
    """(filters, in / groups, k, k): rows of kept filters, columns of kept inputs, block by block."""
    if not isinstance(layer.rule, Fresh):
        return weight[cut.out]
    blocks = layer.options.groups
    out, read = cut.out.reshape(blocks, -1), cut.read.reshape(blocks, -1)
    kernels = np.split(weight, blocks)
    parts = [kernel[np.ix_(rows, columns)] for kernel, rows, columns in zip(kernels, out, read, strict=True)]
    return parts[0] if blocks == 1 else np.concatenate(parts)


def _slice_vectors(layer: Layer, arrays: Arrays, cut: _Cut) -> Arrays:
    return {name: array[cut.out] for name, array in arrays.items()}


def _slice_shortcut(layer: Layer, arrays: Arrays, cut: _Cut) -> Arrays:
    if layer.options.weights_type != "per_channel":
        return arrays
    return {"weight": arrays["weight"][:, cut.out]}


Slicer = Callable[[Layer, Arrays, _Cut], Arrays]

# Kinds with arrays along channels that can go. The arrays of [connected] and [implicit] cannot: their rule is Fixed.
SLICERS: Mapping[str, Slicer] = {
    "convolutional": _slice_convolution,
    "batchnorm": _slice_vectors,
    "shortcut": _slice_shortcut,
}
