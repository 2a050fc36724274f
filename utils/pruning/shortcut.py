"""Shortcut pruning: one threshold on |gamma|; among channels that shortcuts tie together the first convolution decides.

Source: coldlarry/YOLOv3-complete-pruning. On yolov3 that convolution is the one that halves the map before a stage. Where
the threshold would empty a stage its best channels stay, the same ones in every layer of it.
"""

from __future__ import annotations

from utils.darknet import Network, Weights
from utils.pruning.class_scores import Reduction
from utils.pruning.exclusion import Exclusion
from utils.pruning.plan import Plan
from utils.pruning.threshold import threshold_cut


def shortcut_plan(network: Network, weights: Weights, percent: float = 0.6, round_to: int = 1, *,
                  exclude: Exclusion = "none", reduce: Reduction = "first") -> Plan:
    """Plan to remove a share of all channel groups, those whose first |gamma| is smallest; see `threshold_cut`.

    Args:
        percent: share of the prunable groups to remove, in [0, 1); 0 keeps everything.
        round_to: every convolution keeps a multiple of this many channels, or all.
        exclude: "ancestor" leaves alone what shortcut_prune.py of old did.
        reduce: the score of channels that are tied.

    Raises:
        PlanError: an argument out of its range, a gamma that is not finite, or nothing that could be removed.
    """
    cut = threshold_cut(network, weights, percent, exclude, reduce)
    return cut.plan(network, "shortcut",
                    {"percent": percent, "round_to": round_to, "exclude": exclude, "reduce": reduce})
