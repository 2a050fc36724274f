"""The threshold behind a plan, found once more from the plan's own parameters: plans hold what stays, not why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.darknet import Network, Weights
from utils.errors import PlanError
from utils.pruning.plan import Plan
from utils.pruning.slim import slim_cut
from utils.pruning.threshold import ThresholdCut, threshold_cut


def cut_behind(network: Network, weights: Weights, plan: Plan) -> ThresholdCut | None:
    """None where the plan's strategy has no threshold, or its parameters are not those that the strategy writes."""
    asked: Mapping[str, Any] = plan.parameters  # as the strategy writes them, or anything at all
    try:
        words = asked["exclude"], asked["reduce"]
        if plan.strategy in ("slim", "layer_channel"):
            return slim_cut(network, weights, asked["global_percent"], asked["layer_keep"], *words)
        if plan.strategy in ("normal", "shortcut"):
            return threshold_cut(network, weights, asked["percent"], *words, shortcuts_excluded=plan.strategy == "normal")
    except (KeyError, TypeError, PlanError):  # of a file that somebody wrote by hand
        pass
    return None
