"""The gammas of the channels that a plan keeps and removes, and where the line between them runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.darknet import Network, Weights
from utils.pruning.groups import channel_groups
from utils.pruning.importance import gamma_importance
from utils.pruning.plan import Plan
from utils.pruning.plan_threshold import cut_behind
from utils.pruning.selection import chosen_blocks, removed_layers

_LOWEST, _BINS = 1e-6, 60


@dataclass(frozen=True, eq=False)
class CutGammas:
    """|gamma| of the batch-norm channels that could go, float64, ascending: of those that stay, and of those that go.

    threshold: which the strategy drew between them; None where it has none, or drew none because nothing should go.
    """

    kept: np.ndarray
    removed: np.ndarray
    threshold: float | None = None

    @property
    def smallest_kept(self) -> float | None:
        """None where nothing stays of what could go."""
        return float(self.kept[0]) if len(self.kept) else None

    @property
    def largest_removed(self) -> float | None:
        """None where nothing goes. Above `smallest_kept` where channels are tied, or a layer keeps its best."""
        return float(self.removed[-1]) if len(self.removed) else None

    def to_dict(self) -> dict[str, Any]:
        """A histogram over logarithmic `edges`, smaller values counted in the first bin; the threshold and both limits."""
        both = np.maximum(np.concatenate((self.kept, self.removed)), _LOWEST)
        high = 1.0001 * float(both.max(initial=2 * _LOWEST))
        low = min(float(both.min(initial=high)), high / 2)
        edges = np.geomspace(low, high, _BINS + 1)
        kept, removed = (np.histogram(np.maximum(values, low), edges)[0].tolist() for values in (self.kept, self.removed))
        return {"edges": edges.tolist(), "kept": kept, "removed": removed, "threshold": self.threshold,
                "smallest_kept": self.smallest_kept, "largest_removed": self.largest_removed}


def cut_gammas(network: Network, weights: Weights, plan: Plan) -> CutGammas:
    """Sort a network's gammas by what a plan does with their channels; those of removed blocks go.

    Raises:
        PlanError: a gamma is not finite, or a block of the plan cannot go.
    """
    groups, gone = channel_groups(network), removed_layers(chosen_blocks(network, plan.blocks))
    kept, removed = [np.zeros(0)], [np.zeros(0)]
    for layer, gammas in gamma_importance(network, weights).items():
        prunable = ~groups.fixed[groups.vectors[layer]]
        if layer in plan.keep:
            stays = plan.keep[layer].flags
        else:
            stays = np.full(len(gammas), layer not in gone)
        kept.append(gammas[prunable & stays])
        removed.append(gammas[prunable & ~stays])
    cut = cut_behind(network, weights, plan)
    return CutGammas(np.sort(np.concatenate(kept)), np.sort(np.concatenate(removed)), (cut and cut.threshold) or None)
