"""Weights that every engine reads alike, whatever the epsilon of its batch norm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from utils.darknet import Network, Weights
from utils.deploy.batch_norm import EPSILON
from utils.errors import WeightsError

VARIANCE = 65536.0  # beside it an epsilon of 1e-5 is less than float32 can show


def engine_neutral(network: Network, weights: Weights, *, variance: float = VARIANCE) -> Weights:
    """Rescale all batch norms to one large variance, so that an engine's own epsilon no longer matters.

        gamma' = gamma * sqrt(variance + 1e-5) / sqrt(var + 1e-5)        var' = variance

    The network computes what it computed under Darknet's epsilon (to the last bit or two of float32), and OpenCV and
    pjreddie's Darknet now compute it too. With variance=1 a relative 5e-6 per layer would remain between engines.

    For deployment, not for further pruning or sparsity training: gamma no longer says how much a channel matters, and the
    running variances no longer belong to the weights.

    Raises:
        WeightsError: var + 1e-5 is not positive (or not a number) somewhere; Darknet would compute NaN there.
    """
    rescaled = []
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        if "var" in arrays:
            root = _root(layer.where, arrays["var"])
            gamma = arrays["gamma"].astype(np.float64) * np.sqrt(variance + EPSILON) / root
            arrays = {**arrays, "gamma": gamma.astype(np.float32), "var": np.full_like(arrays["var"], variance)}
        rescaled.append(arrays)
    return replace(weights, layers=tuple(rescaled))


def is_engine_neutral(weights: Weights) -> bool:
    """Whether `engine_neutral` made these, so that their gammas do not say which channels matter.

    By most of the channels: a repair after it measures some variances anew.
    """
    variances = np.concatenate([np.empty(0), *(arrays["var"] for arrays in weights.layers if "var" in arrays)])
    return bool(2 * np.count_nonzero(variances == VARIANCE) > len(variances))


def _root(where: object, var: np.ndarray) -> np.ndarray:
    shifted = var.astype(np.float64) + EPSILON
    bad = np.flatnonzero(~(shifted > 0))
    if bad.size:
        raise WeightsError(str(where), f"the running variance of channel {bad[0]} is {var[bad[0]]:g}"
                           + (f" (and {bad.size - 1} more are as bad)" if bad.size > 1 else ""),
                           "train a little further, or take weights from before the training diverged")
    return np.sqrt(shifted)
