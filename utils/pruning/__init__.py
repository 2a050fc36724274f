"""Pruning as functions of values: channel groups, plans, criteria, strategies, surgery and the activation offset."""

from utils.pruning.blocks import ResidualBlock, residual_blocks, stand_ins, why_block_stays
from utils.pruning.budget import Limit, plan_within
from utils.pruning.class_scores import REDUCTIONS, ClassScores, Reduction
from utils.pruning.completion import completed
from utils.pruning.composition import composed
from utils.pruning.costs import LayerWidth, NetworkCost, PruningSummary, summarize
from utils.pruning.cut_gammas import CutGammas, cut_gammas
from utils.pruning.exclusion import EXCLUSIONS, Exclusion, excluded_layers
from utils.pruning.groups import Balance, ChannelGroups, channel_groups
from utils.pruning.importance import gamma_importance
from utils.pruning.keep import Keep
from utils.pruning.latency_model import LatencyModel, LayerTable
from utils.pruning.layer import layer_plan
from utils.pruning.layer_channel import layer_channel_plan
from utils.pruning.normal import normal_plan
from utils.pruning.offset import FOLDS, Fold, FoldName, Offset, activation_offset
from utils.pruning.plan import Plan, keep_everything
from utils.pruning.remarks import remarks, rescued_layers, sparsity_remark
from utils.pruning.selection import check_kept, kept_classes, plan_of
from utils.pruning.shortcut import shortcut_plan
from utils.pruning.slim import slim_plan
from utils.pruning.surgery import CarriedOut, apply_plan, carried_out, cut_out, masked_weights, planned_network
from utils.pruning.threshold import ThresholdCut, threshold_cut

__all__ = [
    "EXCLUSIONS", "FOLDS", "REDUCTIONS", "Balance", "CarriedOut", "ChannelGroups", "ClassScores", "CutGammas",
    "Exclusion", "Fold", "FoldName", "Keep", "LatencyModel", "LayerTable", "LayerWidth", "Limit", "NetworkCost",
    "Offset", "Plan", "PruningSummary", "Reduction", "ResidualBlock", "ThresholdCut", "activation_offset",
    "apply_plan", "carried_out", "channel_groups", "check_kept", "completed", "composed", "cut_gammas", "cut_out",
    "excluded_layers", "gamma_importance", "keep_everything", "kept_classes", "layer_channel_plan", "layer_plan",
    "masked_weights", "normal_plan", "plan_of", "plan_within", "planned_network", "remarks", "rescued_layers",
    "residual_blocks", "shortcut_plan", "slim_plan", "sparsity_remark", "stand_ins", "summarize", "threshold_cut",
    "why_block_stays",
]
