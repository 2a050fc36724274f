"""Importance criteria: a score per channel of each layer, one criterion per file."""

from utils.pruning.importance.gamma import gamma_importance
from utils.pruning.importance.weight_norm import lamp_importance, weight_norm_importance

__all__ = ["gamma_importance", "lamp_importance", "weight_norm_importance"]
