"""Pruning as functions of values: channel groups, plans, criteria, strategies, surgery and the activation offset."""

from utils.pruning.blocks import ResidualBlock, residual_blocks, stand_ins, why_block_stays
from utils.pruning.class_scores import ClassScores
from utils.pruning.completion import completed
from utils.pruning.costs import LayerWidth, NetworkCost, PruningSummary, summarize
from utils.pruning.groups import Balance, ChannelGroups, channel_groups
from utils.pruning.importance import gamma_importance
from utils.pruning.keep import Keep
from utils.pruning.offset import FOLDS, Fold, FoldName, Offset, activation_offset
from utils.pruning.plan import Plan, keep_everything
from utils.pruning.selection import check_kept, kept_classes, plan_of
from utils.pruning.slim import slim_plan
from utils.pruning.surgery import CarriedOut, apply_plan, carried_out, masked_weights

__all__ = [
    "FOLDS", "Balance", "CarriedOut", "ChannelGroups", "ClassScores", "Fold", "FoldName", "Keep", "LayerWidth",
    "NetworkCost", "Offset", "Plan", "PruningSummary", "ResidualBlock", "activation_offset",
    "apply_plan", "carried_out", "channel_groups", "check_kept", "completed", "gamma_importance", "keep_everything",
    "kept_classes", "masked_weights", "plan_of", "residual_blocks", "slim_plan", "stand_ins",
    "summarize", "why_block_stays",
]
