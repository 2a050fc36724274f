"""Sparsity training: pressing batch-norm scales towards zero, how strongly, and how far it got."""

from utils.sparsity.drift import drift_per_step, steps_to_zero, strength_for
from utils.sparsity.gauge import Push, SparsityGauge, SparsityWarning, gauge
from utils.sparsity.regulariser import Gammas, Sparsity
from utils.sparsity.schedule import SparsityOptions, protected_channels, sparsity_scale
from utils.sparsity.selection import pressed_channels
from utils.sparsity.self_tuning import SelfTuningStrength

__all__ = [
    "Gammas",
    "Push",
    "SelfTuningStrength",
    "Sparsity",
    "SparsityGauge",
    "SparsityOptions",
    "SparsityWarning",
    "drift_per_step",
    "gauge",
    "pressed_channels",
    "protected_channels",
    "sparsity_scale",
    "steps_to_zero",
    "strength_for",
]
