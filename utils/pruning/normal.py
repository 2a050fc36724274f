"""Normal pruning: one threshold on |gamma| for the whole network, each group of channels by its largest.

Source: Network Slimming (ICCV 2017, https://arxiv.org/abs/1708.06519) as Lam1360/YOLOv3-model-pruning does it. There, and
in its successors, what a shortcut adds was left alone, because widths had to stay equal; channel groups keep them equal.
"""

from __future__ import annotations

from utils.darknet import Network, Weights
from utils.pruning.class_scores import Reduction
from utils.pruning.exclusion import Exclusion
from utils.pruning.plan import Plan
from utils.pruning.threshold import threshold_cut


def normal_plan(network: Network, weights: Weights, percent: float = 0.8, round_to: int = 1, *,
                exclude: Exclusion = "none", reduce: Reduction = "max") -> Plan:
    """Plan to remove a share of all channel groups, those with the smallest |gamma|; see `threshold_cut`.

    Args:
        percent: share of the prunable groups to remove, in [0, 1); 0 keeps everything.
        round_to: every convolution keeps a multiple of this many channels, or all.
        exclude: "ancestor" leaves alone what prune.py of old did, all that shortcuts add among it.
        reduce: the score of channels that are tied.

    Raises:
        PlanError: an argument out of its range, a gamma that is not finite, or nothing that could be removed.
    """
    cut = threshold_cut(network, weights, percent, exclude, reduce, shortcuts_excluded=True)
    return cut.plan(network, "normal", {"percent": percent, "round_to": round_to, "exclude": exclude, "reduce": reduce})
