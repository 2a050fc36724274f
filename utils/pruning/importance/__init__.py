"""Importance criteria: a score per channel of each layer, one criterion per file."""

from utils.pruning.importance.gamma import gamma_importance

__all__ = ["gamma_importance"]
