"""Scores of channel groups: what the scores of single channels say about the classes that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from utils.pruning.groups import ChannelGroups


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Per class of `groups`: whether a strategy may remove it, and how much it matters.

    prunable: bool, shape (count,); not fixed, and at least one of its channels has a score.
    best: the largest score of its channels, shape (count,); infinite where not prunable.
    """

    groups: ChannelGroups
    prunable: np.ndarray
    best: np.ndarray
    _scored: np.ndarray

    @classmethod
    def of(cls, groups: ChannelGroups, scores: Mapping[int, np.ndarray]) -> ClassScores:
        """From scores per layer, {layer: shape (filters,)}, as a criterion gives them.

        Channels of layers without scores (without batch norm, for |gamma|) are neutral: they follow the others of their
        class. A class that consists of them alone is not prunable.
        """
        best = np.full(groups.count, -np.inf)
        for layer, values in scores.items():
            np.maximum.at(best, groups.vectors[layer], values)
        scored = best > -np.inf
        prunable = scored & ~groups.fixed
        return cls(groups, prunable, np.where(prunable, best, np.inf), scored)

    def reason(self, class_id: int) -> str | None:
        """Why a class is not prunable, or None if it is."""
        fixed = self.groups.reason(class_id)
        if fixed is not None:
            return fixed
        return None if self._scored[class_id] else "none of its channels has a score (no batch norm)"
