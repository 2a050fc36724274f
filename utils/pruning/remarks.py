"""What a user should hear about a plan before time is spent on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.darknet import Network, Weights
from utils.pruning.class_scores import ClassScores
from utils.pruning.groups import channel_groups
from utils.pruning.importance import gamma_importance
from utils.pruning.plan import Plan
from utils.pruning.plan_threshold import cut_behind
from utils.pruning.selection import chosen_blocks, removed_layers
from utils.pruning.threshold import ThresholdCut

_NEAR_ZERO = 0.01  # |gamma|; sparsity training leaves what can go below it
_SHARES = frozenset({"global_percent", "percent"})  # parameters that say which share of the channels shall go
_ENOUGH = 0.5  # of the share that shall go: with less near zero, the training was none, or has not got far


def remarks(network: Network, weights: Weights, plan: Plan) -> tuple[str, ...]:
    """Sentences for the user of a plan that a strategy here made: `sparsity_remark`, and which layers were rescued.

    Plans of nobody here have none.
    """
    asked: Mapping[str, Any] = plan.parameters
    gone = removed_layers(chosen_blocks(network, plan.blocks))
    if not asked.keys() & _SHARES:
        said = sparsity_remark(network, weights, _share_of(network, gone)) if "shortcuts" in asked else None
        return (said,) if said else ()
    name, strict = ("global_percent", True) if "global_percent" in asked else ("percent", False)
    cut = cut_behind(network, weights, plan)
    rescue = _rescue_remark(cut, gone, strict, f"--{name}") if cut else None
    return tuple(text for text in (sparsity_remark(network, weights, float(asked[name])), rescue) if text)


def rescued_layers(network: Network, weights: Weights, plan: Plan) -> tuple[int, ...]:
    """Layers that the threshold alone would have emptied, and that stay in the plan with their best channels."""
    cut = cut_behind(network, weights, plan)
    gone = removed_layers(chosen_blocks(network, plan.blocks))
    return tuple(layer for layer in cut.rescued if layer not in gone) if cut else ()


def sparsity_remark(network: Network, weights: Weights, asked_share: float) -> str | None:
    """That a network does not look as if it had been trained with sparsity, or None.

    asked_share: of the channels, to be removed. As long as half of it is near zero (|gamma| < 0.01) nothing is said.
    """
    if asked_share <= 0:
        return None
    gammas = gamma_importance(network, weights)
    classes = ClassScores.of(channel_groups(network), gammas)
    values = np.concatenate([np.empty(0), *(gammas[layer][classes.prunable[classes.groups.vectors[layer]]]
                                            for layer in gammas)])
    near = float(np.mean(values < _NEAR_ZERO)) if len(values) else 1.0
    if near >= _ENOUGH * asked_share:
        return None
    low, high = np.quantile(values, (0.05, 0.95))
    return (f"this network was hardly trained with sparsity: {near:.1%} of its gammas are near zero (below {_NEAR_ZERO}; 90 % "
            f"lie between {low:.3g} and {high:.3g}), and {asked_share:.0%} of the channels shall go, so the cut takes "
            "channels that matter; train with -sr first, or expect a long fine-tuning")


def _share_of(network: Network, layers: frozenset[int]) -> float:
    """Of the channels of all convolutions with batch norm, those that these layers have."""
    filters = {layer.index: layer.shape.channels for layer in network.layers
               if layer.kind == "convolutional" and layer.options.batch_normalize}
    return sum(filters[index] for index in filters.keys() & layers) / max(1, sum(filters.values()))


def _rescue_remark(cut: ThresholdCut, gone: frozenset[int], strict: bool, flag: str) -> str | None:
    rescued = [layer for layer in cut.rescued if layer not in gone]
    if not rescued:
        return None
    shown = ", ".join(map(str, rescued[:12])) + (f" and {len(rescued) - 12} more" if len(rescued) > 12 else "")
    layers, their = ("layers", "their") if len(rescued) > 1 else ("layer", "its")
    text = f"{layers} {shown} would have been emptied: {their} best channels stay"
    if cut.limit is None:
        return text
    place, percent = "below" if strict else "up to", math.floor(cut.limit.percent * 1e4) / 1e4
    return f"{text}; {flag} {place} {percent:g} empties none (layer {cut.limit.layer} would be the first)"
