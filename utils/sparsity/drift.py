"""How far a strength s moves a gamma: the formulas that connect s, learning rate, momentum and time.

SGD with momentum m turns a constant gradient s into a drift of lr * s / (1 - m) per step. Adam divides by the size of
the gradient: the drift is at most lr, whatever s is, and only a measurement tells how much less.
"""

from __future__ import annotations

import math


def drift_per_step(s: float, lr: float, momentum: float = 0.0, *, adaptive: bool = False) -> float:
    """How far one optimiser step moves a gamma that nothing opposes; for Adam (`adaptive`) at most."""
    if adaptive:
        return lr if s > 0 else 0.0
    return lr * s / (1 - momentum)


def steps_to_zero(gamma: float, drift: float) -> float:
    """Optimiser steps from `gamma` to 0 at `drift` per step; infinite where it does not fall."""
    if gamma <= 0:
        return 0.0
    return gamma / drift if drift > 0 else math.inf


def strength_for(gamma: float, lr_sum: float, momentum: float = 0.0) -> float:
    """The s that brings `gamma` to 0 while the learning rates of the steps add up to `lr_sum`, under SGD."""
    return gamma * (1 - momentum) / lr_sum if lr_sum > 0 else math.inf
