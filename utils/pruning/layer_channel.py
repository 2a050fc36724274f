"""Layer and channel pruning together: channels as slim does, then the residual blocks whose survivors matter least.

Source: layer_channel_prune.py of tanluren/yolov3-channel-and-layer-pruning, which cuts the channels, ranks the blocks of
what is left, and cuts again. Here both are one plan of the network as it was.
"""

from __future__ import annotations

import numpy as np

from utils.darknet import Network, Weights
from utils.pruning.class_scores import Reduction
from utils.pruning.exclusion import Exclusion
from utils.pruning.layer import feeder_gammas, weakest_blocks
from utils.pruning.plan import Plan
from utils.pruning.selection import plan_of
from utils.pruning.slim import slim_cut


def layer_channel_plan(network: Network, weights: Weights, shortcuts: int = 8, global_percent: float = 0.6,
                       layer_keep: float = 0.01, round_to: int = 1, *, exclude: Exclusion = "none",
                       reduce: Reduction = "max", min_blocks_per_stage: int = 0) -> Plan:
    """Plan to remove channels as `slim_plan`, and of what is left `shortcuts` residual blocks as `layer_plan`.

    A block's score is the mean |gamma| over the channels of its last convolution that survive. Arguments and errors are
    those of the two.
    """
    parameters = {"shortcuts": shortcuts, "global_percent": global_percent, "layer_keep": layer_keep,
                  "round_to": round_to, "exclude": exclude, "reduce": reduce,
                  "min_blocks_per_stage": min_blocks_per_stage}
    cut = slim_cut(network, weights, global_percent, layer_keep, exclude, reduce)
    kept, groups = cut.completed(network, parameters), cut.classes.groups
    scores = {block: float(np.mean(gammas[kept[groups.vectors[block.feeder]]]))
              for block, gammas in feeder_gammas(network, weights).items()}
    blocks = weakest_blocks(network, scores, shortcuts, min_blocks_per_stage)
    return plan_of(network, groups, kept, "layer_channel", parameters, blocks)
