"""Layer pruning: whole residual blocks go, those first whose last convolution has the smallest mean |gamma|.

Source: layer_prune.py of tanluren/yolov3-channel-and-layer-pruning. Scores are compared across stages as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from utils.darknet import Network, Weights
from utils.errors import PlanError
from utils.pruning.blocks import ResidualBlock, residual_blocks, why_block_stays
from utils.pruning.groups import channel_groups
from utils.pruning.importance import gamma_importance
from utils.pruning.plan import Plan
from utils.pruning.selection import plan_of


def layer_plan(network: Network, weights: Weights, shortcuts: int = 8, *, min_blocks_per_stage: int = 0) -> Plan:
    """Plan to remove the residual blocks that matter least; every channel elsewhere stays.

    Args:
        shortcuts: number of blocks to remove; 0 keeps everything.
        min_blocks_per_stage: of those that could go, so many stay in each stage (all, where there are not more).

    Raises:
        PlanError: a number below 0, more blocks than may go, no block at all, or a gamma that is not finite.
    """
    scores = {block: float(gammas.mean()) for block, gammas in feeder_gammas(network, weights).items()}
    blocks = weakest_blocks(network, scores, shortcuts, min_blocks_per_stage)
    groups = channel_groups(network)
    return plan_of(network, groups, np.ones(groups.count, dtype=bool), "layer",
                   {"shortcuts": shortcuts, "min_blocks_per_stage": min_blocks_per_stage}, blocks)


def feeder_gammas(network: Network, weights: Weights) -> dict[ResidualBlock, np.ndarray]:
    """|gamma| of the convolution that ends the branch of each residual block, shape (filters,)."""
    gammas = gamma_importance(network, weights)
    return {block: gammas[block.feeder] for block in residual_blocks(network)}


def weakest_blocks(network: Network, scores: Mapping[ResidualBlock, float], count: int,
                   min_blocks_per_stage: int = 0) -> tuple[int, ...]:
    """The [shortcut] layers of the `count` blocks with the smallest scores, equal ones in layer order; ascending.

    Raises:
        PlanError: as `layer_plan`.
    """
    for name, value in (("shortcuts", count), ("min_blocks_per_stage", min_blocks_per_stage)):
        if value < 0:
            raise PlanError("", f"{name}={value} is no number of residual blocks", "give 0 or more")
    left = Counter(block.stage for block in scores)
    may_go = sum(max(0, blocks - min_blocks_per_stage) for blocks in left.values())
    if count > may_go:
        raise _too_many(network, count, len(scores), may_go, min_blocks_per_stage)
    chosen: list[int] = []
    for block in sorted(scores, key=lambda block: (scores[block], block.shortcut)):
        if len(chosen) < count and left[block.stage] > min_blocks_per_stage:
            left[block.stage] -= 1
            chosen.append(block.shortcut)
    return tuple(sorted(chosen))


def _too_many(network: Network, count: int, known: int, may_go: int, least: int) -> PlanError:
    asked = f"has no residual block that could go, and {count} should"
    if may_go:
        within = f" with {least} left in each stage" if may_go < known else ""
        return PlanError(network.path, f"has {known} residual block{'s' if known > 1 else ''}, {may_go} of which can go{within}, and {count} "
                         "should",
                         f"ask for {may_go} at most")
    if known:
        return PlanError(network.path, f"{asked}: with {least} left in each stage all {known} stay",
                         "leave fewer in each stage")
    shortcut = next((layer.index for layer in network.layers if layer.kind == "shortcut"), None)
    why = "it has no [shortcut]" if shortcut is None else \
        f"the first [shortcut], layer {shortcut}, must stay because {why_block_stays(network, shortcut)}"
    return PlanError(network.path, f"{asked}: {why}", "remove channels instead, for example with slim_prune.py")
