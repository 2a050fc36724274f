"""The orders in which a network can be taken apart, one per criterion: what compression chooses from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from utils.darknet import Network, Weights
from utils.errors import PlanError
from utils.pruning.class_costs import CostUnit, class_costs
from utils.pruning.class_scores import ClassScores, Reduction
from utils.pruning.elimination import Step, elimination_order
from utils.pruning.groups import ChannelGroups, channel_groups
from utils.pruning.importance import gamma_importance, lamp_importance, weight_norm_importance
from utils.pruning.relevance import class_relevance
from utils.pruning.statistics import ActivationStatistics

Units = Sequence[tuple[CostUnit, float]]
Scores = Mapping[int, np.ndarray]
Worth = Callable[[Network, Weights, ChannelGroups, ActivationStatistics, Scores | None], np.ndarray]

AUTOMATIC = ("dependence", "relevance", "gamma-mean")
"""What the criterion `auto` tries."""


def step_order(criterion: str, network: Network, weights: Weights, statistics: ActivationStatistics, units: Units, *,
               blocks: bool = True, taylor: Scores | None = None) -> tuple[Step, ...]:
    """What can go, the first to go first.

    Args:
        criterion: "dependence" (see elimination.py; the only one that ranks residual blocks, too) or a key of WORTHS.
        units: what is to be saved, each with its weight; divides what channels are worth, but for gammas and norms.
        blocks: whether residual blocks may go.
        taylor: {layer: (filters,)}, for the criterion "taylor".

    Raises:
        PlanError: an unknown criterion, or one that lacks its scores.
    """
    groups = channel_groups(network)
    if criterion == "dependence":
        return elimination_order(network, weights, groups, ~groups.fixed, statistics, units, blocks=blocks)
    if criterion not in WORTHS:
        raise PlanError("--criterion", f"'{criterion}' is no criterion", f"give one of {', '.join(CRITERIA)}")
    worth = WORTHS[criterion](network, weights, groups, statistics, taylor)
    if criterion in _PER_COST:
        everything = np.ones(groups.count, dtype=bool)
        worth = worth / np.maximum(sum(weight * class_costs(network, groups, everything, unit) for unit, weight in units), 1e-30)
    removable = np.flatnonzero(~groups.fixed & np.isfinite(worth))
    return tuple(Step(class_id=int(c)) for c in removable[np.argsort(worth[removable], kind="stable")])


def _gamma(reduce: Reduction) -> Worth:
    return lambda network, weights, groups, *_: ClassScores.of(groups, gamma_importance(network, weights), reduce).score


def _taylor(network: Network, weights: Weights, groups: ChannelGroups, _: ActivationStatistics,
            taylor: Scores | None) -> np.ndarray:
    if taylor is None:
        raise PlanError("--criterion", "taylor needs gradients", "give labelled images with --data")
    return ClassScores.of(groups, taylor, "sum").score


WORTHS: Mapping[str, Worth] = {
    "relevance": lambda network, weights, groups, statistics, _: class_relevance(network, weights, groups, statistics),
    "gamma-max": _gamma("max"),
    "gamma-first": _gamma("first"),
    "gamma-mean": _gamma("mean"),
    "gamma-sum": _gamma("sum"),
    "l1": lambda n, w, groups, *_: ClassScores.of(groups, weight_norm_importance(n, w, 1), "mean").score,
    "l2": lambda n, w, groups, *_: ClassScores.of(groups, weight_norm_importance(n, w, 2), "mean").score,
    "lamp": lambda n, w, groups, *_: ClassScores.of(groups, lamp_importance(n, w), "mean").score,
    "taylor": _taylor,
}
_PER_COST = frozenset({"relevance", "taylor"})
CRITERIA = ("dependence", *WORTHS)
