"""Scores of channel groups: what the scores of single channels say about the classes that they belong to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from utils.errors import PlanError
from utils.pruning.groups import ChannelGroups

Reduction = Literal["max", "first", "mean", "sum", "norm"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Per class of `groups`: whether a strategy may remove it, and how much it matters.

    prunable: bool, shape (count,); not fixed, not excluded, and at least one of its channels has a score.
    score: the scores of its channels as one number, shape (count,); infinite where not prunable.
    """

    groups: ChannelGroups
    prunable: np.ndarray
    score: np.ndarray
    _scored: np.ndarray

    @classmethod
    def of(cls, groups: ChannelGroups, scores: Mapping[int, np.ndarray], reduce: Reduction = "max",
           excluded: Collection[int] = ()) -> ClassScores:
        """From scores per layer, {layer: shape (filters,)}, as a criterion gives them.

        Channels of layers without scores (without batch norm, for |gamma|) are neutral: they follow the others of their
        class. A class that consists of them alone is not prunable.

        Args:
            reduce: max, mean or first of the scores of a class, first in layer order; norm is their root mean square;
                sum grows with their number: what many layers share counts for more. In a class of one all are equal.
            excluded: layers whose channels stay, and with them what is tied to them.

        Raises:
            PlanError: there is no such reduction.
        """
        if reduce not in REDUCTIONS:
            raise PlanError("", f"reduce={reduce} is no way to score tied channels", f"give one of {', '.join(REDUCTIONS)}")
        layers = sorted(scores)
        none = [np.empty(0, dtype=np.intp)]
        members = np.concatenate([groups.vectors[layer] for layer in layers] or none)
        values = np.concatenate([np.asarray(scores[layer], dtype=np.float64) for layer in layers] or none)
        scored = np.bincount(members, minlength=groups.count) > 0
        prunable = scored & ~groups.fixed
        for layer in excluded:
            prunable[groups.vectors[layer]] = False
        return cls(groups, prunable, np.where(prunable, _reduced(members, values, groups.count, reduce), np.inf), scored)

    def reason(self, class_id: int) -> str | None:
        """Why a class is not prunable, or None if it is."""
        fixed = self.groups.reason(class_id)
        if fixed is not None:
            return fixed
        if not self._scored[class_id]:
            return "none of its channels has a score (no batch norm)"
        return None if self.prunable[class_id] else "it was excluded"


def _reduced(members: np.ndarray, values: np.ndarray, count: int, reduce: Reduction) -> np.ndarray:
    """One number for each of `count` classes from the values of their members; infinite where a class has none."""
    result = np.full(count, np.inf)
    if reduce == "first":
        classes, first = np.unique(members, return_index=True)
        result[classes] = values[first]
        return result
    some = np.unique(members)
    if reduce == "max":
        result[some] = -np.inf
        np.maximum.at(result, members, values)
        return result
    powers = values**2 if reduce == "norm" else values
    total = np.bincount(members, weights=powers, minlength=count)[some]
    number = np.bincount(members, minlength=count)[some]
    result[some] = total if reduce == "sum" else total / number
    return np.sqrt(result) if reduce == "norm" else result
