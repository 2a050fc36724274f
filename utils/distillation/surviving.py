"""Which channels of the teacher a pruned student still has, as its pruning plan tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from utils.darknet import Layer, Network, Same, Weights
from utils.distillation.matching import LayerPair
from utils.errors import PlanError
from utils.pruning import Plan, carried_out, channel_groups, cut_out, kept_classes, planned_network


def surviving_channels(plan: Plan, teacher: Network, weights: Weights, student: Network,
                       pairs: Sequence[LayerPair]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """For each pair of layers (student's channels, teacher's channels), int64 arrays of one length.

    Channels that a fold kept as constants (carriers) belong to the student alone and are left out. An adder is compared as
    the [shortcut] in whose place it is.

    Raises:
        PlanError: the plan is of another network than the teacher, or the student is not what it makes of it.
    """
    groups = channel_groups(teacher)
    kept = kept_classes(teacher, groups, plan)
    cut = None
    problem = _difference(student, planned_network(teacher, plan), teacher)
    if problem and plan.blocks:  # a fold may have left an adder in the place of a block
        cut = carried_out(teacher, weights, plan, "exact")
        problem = problem if _difference(student, cut_out(cut)[0], teacher) else None
    if problem:
        raise PlanError(student.path, problem, "give the plan that made this student, or leave --distill-plan out: an "
                        "adaptor is learned then")
    found = [_of_pair(student, pair, groups.vectors[pair.teacher], kept, kept) for pair in pairs]
    if all(one is not None for one in found):
        return tuple(one for one in found if one is not None)
    cut = cut or carried_out(teacher, weights, plan, "exact")
    place = {origin: index for index, origin in enumerate(cut.origins)}
    result = []
    for pair, one in zip(pairs, found, strict=True):
        if one is None and pair.teacher in place:
            index = place[pair.teacher]
            one = _of_pair(student, pair, cut.groups.vectors[index], cut.kept, cut.kept | cut.blank)
            if one is not None and cut.spares is not None:
                one = one[0], one[1] - np.cumsum(cut.spares[index])[one[1]]
        if one is None:
            raise PlanError(student.path, f"layer {pair.student} has {student.layers[pair.student].shape.channels} channels, "
                            f"and the plan leaves layer {pair.teacher} of {teacher.path} "
                            f"{int(kept[groups.vectors[pair.teacher]].sum())}",
                            "give the plan that made this student, or leave --distill-plan out: an adaptor is learned then")
        result.append(one)
    return tuple(result)


def _difference(student: Network, planned: Network, teacher: Network) -> str | None:
    """In what the student cannot be what the plan makes; None where it can.

    It may be wider, by carriers, and its heads and what feeds them may be for other classes.
    """
    if len(student.layers) != len(planned.layers):
        return f"has {len(student.layers)} layers, and the plan leaves {teacher.path} {len(planned.layers)}"
    for ours, theirs in zip(student.layers, planned.layers, strict=True):
        if _but_for_width(ours) != _but_for_width(theirs):
            return (f"differs in layer {ours.index} ({ours.where}) from what the plan leaves of {teacher.path}: it is "
                    f"{_shown(ours, theirs)}, and the plan leaves {_shown(theirs, ours)}")
    wanted, found = (tuple(layer.shape.channels for layer in network.layers
                           if layer.kind == "convolutional" and layer.options.batch_normalize) for network in (planned, student))
    if any(a > b for a, b in zip(wanted, found, strict=True)):
        return f"has convolutions of {_some(found)} channels, and the plan leaves {teacher.path} {_some(wanted)}"
    return None


def _but_for_width(layer: Layer) -> tuple[str, Any, tuple[int, ...]]:
    """What a plan leaves alone: kind, options, and what it reads."""
    if layer.is_head:
        return layer.kind, None, layer.inputs
    if layer.kind != "convolutional":
        return layer.kind, layer.options, layer.inputs
    depthwise = isinstance(layer.rule, Same)
    return layer.kind, replace(layer.options, filters=0, groups=0 if depthwise else layer.options.groups), layer.inputs


def _shown(layer: Layer, other: Layer) -> str:
    """Its kind, and the options in which it differs from the other."""
    if layer.kind != other.kind:
        return f"[{layer.kind}]"
    if layer.inputs != other.inputs:
        return f"a [{layer.kind}] of layer {', '.join(map(str, layer.inputs))}"
    one, two = asdict(_but_for_width(layer)[1]), asdict(_but_for_width(other)[1])
    return f"[{layer.kind}] " + " ".join(f"{name}={value}" for name, value in one.items() if value != two[name])


def _some(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths[:6])) + (f" ... ({len(widths)} in all)" if len(widths) > 6 else "")


def _of_pair(student: Network, pair: LayerPair, classes: np.ndarray, kept: np.ndarray,
             stays: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """None where the student's layer is not as wide as what stays of the teacher's."""
    places = np.flatnonzero(stays[classes])
    if len(places) != student.layers[pair.student].shape.channels:
        return None
    survives = kept[classes[places]]
    return np.flatnonzero(survives), places[survives]
