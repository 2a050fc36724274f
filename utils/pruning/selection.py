"""From chosen classes to a plan, and from a plan back to classes, refusing what the network cannot follow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np

from utils.darknet import IMAGE, Layer, Network
from utils.errors import PlanError
from utils.pruning.blocks import ResidualBlock, residual_blocks, why_block_stays
from utils.pruning.groups import ChannelGroups
from utils.pruning.keep import Keep
from utils.pruning.plan import Parameter, Plan


def plan_of(network: Network, groups: ChannelGroups, kept: np.ndarray, strategy: str,
            parameters: Mapping[str, Parameter], blocks: Collection[int] = ()) -> Plan:
    """The plan that keeps the classes for which `kept`, shape (groups.count,), is True, and loses `blocks` whole.

    Raises:
        PlanError: as `check_kept`, or a block that cannot go.
    """
    removed = removed_layers(chosen_blocks(network, blocks))
    check_kept(network, groups, kept, removed)
    keep = {layer.index: Keep.of_flags(kept[groups.vectors[layer.index]])
            for layer in network.layers if layer.kind == "convolutional" and layer.index not in removed}
    return Plan(strategy, parameters, network.fingerprint, keep, tuple(blocks))


def chosen_blocks(network: Network, shortcuts: Collection[int]) -> tuple[ResidualBlock, ...]:
    """The residual blocks that end in these [shortcut] layers; PlanError where one cannot go."""
    if not shortcuts:
        return ()
    known = {block.shortcut: block for block in residual_blocks(network)}
    for index in shortcuts:
        if index not in known:
            exists = 0 <= index < len(network.layers)
            reason = why_block_stays(network, index) if exists else f"there is no layer {index}"
            raise PlanError(network.layers[index].where if exists else network.path, "the plan removes the residual block "
                            f"that ends in layer {index}, which cannot go: {reason}",
                            f"layers that can be named: {', '.join(map(str, known)) or 'none'}")
    return tuple(known[index] for index in sorted(set(shortcuts)))


def removed_layers(blocks: Collection[ResidualBlock]) -> frozenset[int]:
    """The layers that go with these blocks."""
    return frozenset(layer for block in blocks for layer in block.layers)


def kept_classes(network: Network, groups: ChannelGroups, plan: Plan) -> np.ndarray:
    """Which classes a plan keeps, a bool array of shape (groups.count,).

    Raises:
        PlanError: the plan was made for another network, removes a tied channel in one place only, removes a fixed
            channel, keeps blocks of unequal width, leaves a layer without channels, or removes a residual block that
            cannot go.
    """
    if plan.fingerprint != network.fingerprint:
        raise PlanError(network.path, "is not the network that this plan was made for (their fingerprints differ)",
                        "use the cfg from which the plan was made, or make a new plan")
    removed = removed_layers(chosen_blocks(network, plan.blocks))
    kept = np.ones(groups.count, dtype=bool)
    for index, keep in plan.keep.items():
        _check_entry(network, index, keep, removed)
        kept[groups.vectors[index][~keep.flags]] = False
    _check_ties(network, groups, plan, kept, removed)
    check_kept(network, groups, kept, removed)
    return kept


def check_kept(network: Network, groups: ChannelGroups, kept: np.ndarray, removed: Collection[int] = ()) -> None:
    """Raise a PlanError unless the network can lose exactly the classes for which `kept` is False.

    Layers in `removed` go whole, and ask for nothing.
    """
    wrong = np.flatnonzero(groups.fixed & ~kept)
    if len(wrong):
        layer, channel = _place(network, groups, int(wrong[0]))
        raise PlanError(layer.where, f"the plan removes channel {channel} of layer {layer.index}, which must stay "
                        f"({groups.reason(int(wrong[0]))})", "keep it")
    for layer in network.layers:
        if layer.index not in removed and not kept[groups.vectors[layer.index]].any():
            raise PlanError(layer.where, f"the plan leaves layer {layer.index} without channels", "keep at least one")
    for balance in groups.balances:
        counts = balance.counts(kept)
        if balance.layer not in removed and np.any(counts != counts[0]):
            layer = network.layers[balance.layer]
            raise PlanError(layer.where, f"the plan keeps {', '.join(map(str, counts))} channels in the "
                            f"{balance.blocks} blocks that layer {layer.index} ([{layer.kind}] groups="
                            f"{balance.blocks}) cuts apart", "keep equally many in each block")
    for layer, widths in overread_shortcuts(network, lambda index: int(kept[groups.vector(index)].sum())):
        if layer.index in removed:
            continue
        raise PlanError(layer.where, f"with this plan the shortcut adds a source of {widths[0]} channels to a sum of "
                        f"{widths[1]}, which Darknet takes for {widths[1]} because the source's own input has as many: "
                        "it reads past the end", "keep one channel more, or one less, of that input")


def overread_shortcuts(network: Network, channels: Callable[[int], int]) -> Iterator[tuple[Layer, tuple[int, int]]]:
    """Shortcuts of unequal widths that other widths would turn into ones that Darknet computes wrongly.

    Darknet takes a shortcut's fast path when the source's *input* has the shape of the sum, and then reads past the
    end of a narrower source (shortcut_layer.c forward_shortcut_layer); `Network` refuses such cfgs.
    Gives the layer and (channels of the source, channels of the sum).

    Args:
        channels: how many the output of a layer is to have, or the network's input for IMAGE.
    """
    for layer in network.layers:
        if layer.kind != "shortcut" or len(layer.inputs) != 2 or layer.options.weights_type != "none":
            continue
        if layer.inputs[1] == IMAGE:
            continue
        source = network.layers[layer.inputs[1]]
        if not source.inputs or source.shape.channels >= layer.shape.channels:
            continue
        read = source.input_shapes[0]
        if (read.height, read.width) != (layer.shape.height, layer.shape.width):
            continue
        own, total = channels(source.index), channels(layer.index)
        if own < total == channels(source.inputs[0]):
            yield layer, (own, total)


def _check_entry(network: Network, index: int, keep: Keep, removed: Collection[int]) -> None:
    if not 0 <= index < len(network.layers) or network.layers[index].kind != "convolutional":
        kind = f"a [{network.layers[index].kind}]" if 0 <= index < len(network.layers) else "not there"
        raise PlanError(network.path, f"the plan names layer {index}, which is {kind}",
                        "a plan lists convolutional layers; the others follow from them")
    layer = network.layers[index]
    if index in removed:
        raise PlanError(layer.where, f"the plan keeps channels of layer {index} and removes the residual block around it",
                        "leave out one of the two")
    if keep.filters != layer.shape.channels:
        raise PlanError(layer.where, f"the plan counts {keep.filters} channels in layer {index}, it has "
                        f"{layer.shape.channels}", "make a new plan from this cfg")


def _check_ties(network: Network, groups: ChannelGroups, plan: Plan, kept: np.ndarray,
                removed: Collection[int]) -> None:
    """A class is kept by all its convolutions or by none."""
    for layer in network.layers:
        if layer.kind != "convolutional" or layer.index in removed:
            continue
        vector = groups.vectors[layer.index]
        keep = plan.keep.get(layer.index)
        own = np.ones(len(vector), dtype=bool) if keep is None else keep.flags
        wrong = np.flatnonzero(own & ~kept[vector])
        if not len(wrong):
            continue
        class_id = int(vector[wrong[0]])
        other = next(i for i, k in plan.keep.items() if class_id in groups.vectors[i][~k.flags])
        channel = int(np.flatnonzero((groups.vectors[other] == class_id) & ~plan.keep[other].flags)[0])
        raise PlanError(layer.where, f"the plan keeps channel {int(wrong[0])} of layer {layer.index} and removes "
                        f"channel {channel} of layer {other}, but the two are tied", "keep both or remove both")


def _place(network: Network, groups: ChannelGroups, class_id: int) -> tuple[Layer, int]:
    """A layer and a channel of it that belong to a class, a convolution if there is one."""
    for layer in sorted(network.layers, key=lambda layer: layer.kind != "convolutional"):
        found = np.flatnonzero(groups.vectors[layer.index] == class_id)
        if len(found):
            return layer, int(found[0])
    return network.layers[0], int(np.flatnonzero(groups.image == class_id)[0])
