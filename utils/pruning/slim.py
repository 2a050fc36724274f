"""The slim strategy: one threshold on |gamma| for the whole network, tied channels kept if any of them is above it.

Source: SlimYOLOv3 (ICCV workshops 2019, https://arxiv.org/abs/1907.11093) with the merge over shortcuts of its
successors. They excluded convolutions before an SPP, a grouped route or an upsample; with channel groups none of these
needs an exclusion.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from utils.darknet import Network, Weights
from utils.errors import PlanError
from utils.pruning.class_scores import Reduction
from utils.pruning.exclusion import Exclusion
from utils.pruning.importance import gamma_importance
from utils.pruning.plan import Plan
from utils.pruning.threshold import ThresholdCut, limit_of, scored_classes


def slim_plan(network: Network, weights: Weights, global_percent: float = 0.8, layer_keep: float = 0.01,
              round_to: int = 1, *, exclude: Exclusion = "none", reduce: Reduction = "max") -> Plan:
    """Plan to remove the channels with the smallest |gamma| of the whole network.

    The statistic is over all channels of batch-norm convolutions that are not fixed, depthwise ones included. With v, its n
    values in ascending order, the threshold is v[int(n * global_percent)], and a channel survives its layer if its
    |gamma| is greater, or among the max(1, int(filters * layer_keep)) largest of the layer where fewer survive. Then
    tied channels survive if any of them does, and `completed` evens out blocks and multiples. So less is removed than
    asked wherever channels are tied.

    Ties at the threshold: a lone value at the threshold goes (int(n * global_percent) + 1 channels are below or at
    it); of several equal ones so many go that no more than int(n * global_percent) channels do, spread over their
    layers in proportion, the last channels of a layer first. An untrained network, whose gammas are all 1, so loses
    the share that was asked for instead of nearly everything.

    Args:
        global_percent: share of the statistic to remove, in [0, 1); 0 keeps everything.
        layer_keep: share of each layer's channels that it keeps before ties are merged, in [0, 1].
        round_to: every convolution keeps a multiple of this many channels, or all.
        exclude: "ancestor" leaves alone what slim_prune.py of old did.
        reduce: the score of channels that are tied. "max" is the rule above. With any other each channel counts with
            the score of its group instead of its own |gamma|, so that all of a group survive or none does.

    Raises:
        PlanError: an argument out of its range, a gamma that is not finite, or nothing that could be removed.
    """
    cut = slim_cut(network, weights, global_percent, layer_keep, exclude, reduce)
    return cut.plan(network, "slim", {"global_percent": global_percent, "layer_keep": layer_keep, "round_to": round_to,
                                      "exclude": exclude, "reduce": reduce})


def slim_cut(network: Network, weights: Weights, global_percent: float, layer_keep: float, exclude: Exclusion,
             reduce: Reduction) -> ThresholdCut:
    """What `slim_plan` keeps before blocks and multiples are evened out; arguments and errors as there."""
    if not 0 <= layer_keep <= 1:
        raise PlanError("", f"layer_keep={layer_keep} is no share of channels to keep",
                        "give a number from 0 to 1, for example 0.01")
    classes = scored_classes(network, weights, global_percent, exclude, reduce, name="global_percent")
    groups = classes.groups
    scores = gamma_importance(network, weights)
    if reduce != "max":
        scores = {layer: classes.score[groups.vectors[layer]] for layer in scores}
    counted = {layer: classes.prunable[groups.vectors[layer]] for layer in scores}
    values = np.sort(np.concatenate([np.empty(0), *(scores[layer][flags] for layer, flags in counted.items())]))
    limit = limit_of({layer: np.where(flags, scores[layer], np.inf) for layer, flags in counted.items()}, values)
    if global_percent == 0:
        return ThresholdCut(classes, np.ones(groups.count, dtype=bool), 0.0, (), limit)
    asked = int(len(values) * global_percent)
    kept, alone = ~classes.prunable, ~classes.prunable
    for layer, survives in _survivors(scores, counted, asked, values[asked]).items():
        alone[groups.vectors[layer][survives]] = True
        kept[groups.vectors[layer][_with_minimum(survives, scores[layer], layer_keep)]] = True
    rescued = tuple(layer.index for layer in network.layers
                    if layer.kind == "convolutional" and not alone[groups.vectors[layer.index]].any())
    return ThresholdCut(classes, kept, float(values[asked]), rescued, limit)


def _survivors(gammas: Mapping[int, np.ndarray], counted: Mapping[int, np.ndarray], asked: int,
               threshold: float) -> dict[int, np.ndarray]:
    """Per layer a bool per channel: is it above the threshold, or not in the statistic at all?

    counted: per layer, which channels are in the statistic. asked: how many of them shall go at most, where some are equal.
    """
    values = np.concatenate([gammas[layer][flags] for layer, flags in counted.items()])
    position = np.concatenate([np.flatnonzero(flags) / len(flags) for flags in counted.values()])
    above = values > threshold
    tied = np.flatnonzero(values == threshold)
    if len(tied) > 1:
        stay = len(tied) - (asked - int((values < threshold).sum()))
        above[tied[np.argsort(position[tied], kind="stable")[:stay]]] = True
    result, start = {}, 0
    for layer, flags in counted.items():
        survives = np.ones(len(flags), dtype=bool)
        survives[flags] = above[start:(start := start + int(flags.sum()))]
        result[layer] = survives
    return result


def _with_minimum(survives: np.ndarray, gamma: np.ndarray, layer_keep: float) -> np.ndarray:
    """The survivors, and the layer's best channels where there are fewer than the minimum."""
    least = max(1, int(len(gamma) * layer_keep))
    if survives.sum() >= least:
        return survives
    survives = survives.copy()
    survives[np.argsort(-gamma, kind="stable")[:least]] = True
    return survives
