"""Which channels of the teacher a pruned student still has, as its pruning plan tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.darknet import Network, Weights
from utils.distillation.matching import LayerPair
from utils.errors import PlanError
from utils.pruning import Plan, carried_out, channel_groups, kept_classes, planned_network


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
    _check_made(plan, teacher, student)
    found = [_of_pair(student, pair, groups.vectors[pair.teacher], kept, kept) for pair in pairs]
    if all(one is not None for one in found):
        return tuple(one for one in found if one is not None)
    cut = carried_out(teacher, weights, plan, "exact")
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


def _check_made(plan: Plan, teacher: Network, student: Network) -> None:
    """PlanError where the student is not as wide as the plan would leave it, carriers aside."""
    planned = planned_network(teacher, plan)
    wanted, found = (tuple(layer.shape.channels for layer in network.layers
                           if layer.kind == "convolutional" and layer.options.batch_normalize) for network in (planned, student))
    if len(wanted) != len(found) or any(a > b for a, b in zip(wanted, found, strict=True)):
        raise PlanError(student.path, f"has convolutions of {_some(found)} channels, and the plan leaves {teacher.path} "
                        f"{_some(wanted)}", "give the plan that made this student, or leave --distill-plan out: an adaptor is "
                        "learned then")


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
