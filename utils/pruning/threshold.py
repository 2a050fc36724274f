"""One threshold on the scores of channel groups for the whole network: what normal and shortcut pruning share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.darknet import Network, Weights
from utils.errors import PlanError
from utils.pruning.class_scores import ClassScores, Reduction
from utils.pruning.completion import completed
from utils.pruning.exclusion import Exclusion, excluded_layers
from utils.pruning.groups import channel_groups
from utils.pruning.importance import gamma_importance
from utils.pruning.plan import Parameter, Plan
from utils.pruning.selection import plan_of


@dataclass(frozen=True, slots=True)
class ThresholdLimit:
    """How far a threshold can go before it empties a layer.

    score: the largest score of `layer`, the smallest such one of all layers. percent: its place among all scores, as a
    share: up to this percent (below it, for slim) no layer is emptied.
    """

    layer: int
    score: float
    percent: float


@dataclass(frozen=True, eq=False)
class ThresholdCut:
    """What a threshold leaves.

    kept: bool per class. threshold: the score from which on (above which, for slim) a class stays; 0 if all stay.
    rescued: layers that it would have emptied; their best channels stay. limit: None where no layer can be emptied.
    """

    classes: ClassScores
    kept: np.ndarray
    threshold: float
    rescued: tuple[int, ...]
    limit: ThresholdLimit | None

    def plan(self, network: Network, strategy: str, parameters: Mapping[str, Parameter]) -> Plan:
        """The plan that keeps these classes, and what the network needs beside them (see completion.py)."""
        return plan_of(network, self.classes.groups, self.completed(network, parameters), strategy, parameters)

    def completed(self, network: Network, parameters: Mapping[str, Any]) -> np.ndarray:
        """`kept`, with blocks and multiples evened out; bool per class."""
        return completed(network, self.classes.groups, self.kept, self.classes.score, round_to=parameters["round_to"])


def scored_classes(network: Network, weights: Weights, percent: float, exclude: Exclusion, reduce: Reduction, *,
                   shortcuts_excluded: bool = False, name: str = "percent") -> ClassScores:
    """The classes of a network with scores from |gamma|.

    Raises:
        PlanError: `percent`, called `name`, is not in [0, 1); a gamma is not finite; an unknown word; nothing could go
            and something should.
    """
    if not 0 <= percent < 1:
        raise PlanError("", f"{name}={percent} is no share of channels to remove",
                        "give a number from 0 (nothing) to below 1, for example 0.8")
    classes = ClassScores.of(channel_groups(network), gamma_importance(network, weights), reduce,
                             excluded_layers(network, exclude, shortcuts=shortcuts_excluded))
    if percent > 0 and not classes.prunable.any():
        why, help_ = "all are fixed or without batch norm", "train it with batch_normalize=1, or choose another strategy"
        if exclude != "none":
            why, help_ = "all are fixed, excluded or without batch norm", "do without the exclusions"
        raise PlanError(network.path, f"has no channel that could be removed: {why}", help_)
    return classes


def threshold_cut(network: Network, weights: Weights, percent: float, exclude: Exclusion, reduce: Reduction, *,
                  shortcuts_excluded: bool = False) -> ThresholdCut:
    """Keep the classes from a threshold on, and of a layer that it empties the best.

    With v, the scores of the n prunable classes in ascending order, a class stays if its score is at least
    v[int(n * percent)]; so equal scores stay together. A layer of which nothing would be left keeps the classes with its
    largest score, once for all layers that share them.

    Raises:
        PlanError: as `scored_classes`.
    """
    classes = scored_classes(network, weights, percent, exclude, reduce, shortcuts_excluded=shortcuts_excluded)
    values = np.sort(classes.score[classes.prunable])
    threshold = float(values[int(len(values) * percent)]) if percent > 0 else 0.0
    kept = classes.score >= threshold
    scores = {layer.index: classes.score[classes.groups.vectors[layer.index]]
              for layer in network.layers if layer.kind == "convolutional"}
    vectors = classes.groups.vectors
    rescued = tuple(layer for layer in scores if not kept[vectors[layer]].any())
    for layer in rescued:
        if not kept[vectors[layer]].any():
            kept[vectors[layer][scores[layer] == scores[layer].max()]] = True
    return ThresholdCut(classes, kept, threshold, rescued, limit_of(scores, values))


def limit_of(scores: Mapping[int, np.ndarray], values: np.ndarray) -> ThresholdLimit | None:
    """Of layers with these scores per channel, infinite where one must stay, and the ascending scores that are ranked."""
    best = {layer: float(own.max()) for layer, own in scores.items()}
    layer = min(best, key=best.__getitem__, default=None)
    if layer is None or not np.isfinite(best[layer]):
        return None
    return ThresholdLimit(layer, best[layer], float(np.searchsorted(values, best[layer]) / len(values)))
