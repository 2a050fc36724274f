"""What an activation gives on average where its input is spread like a batch norm's output: E[act(N(beta, gamma^2))]."""

from __future__ import annotations

import math

import numpy as np

from utils.darknet import ACTIVATIONS

_ERF = np.frompyfunc(math.erf, 1, 1)  # numpy has none, and scipy is not needed for anything else here
_REACH, _NODES = 8.0, 400  # beyond 8 standard deviations lies 1e-15 of a normal distribution


def expected_activation(name: str, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The mean of an activation over a normal distribution, elementwise.

    In closed form for linear, relu, leaky and relie. For the others by quadrature: to rounding where the activation is
    smooth within a tenth of the spread, else to about 1e-4 of the spread (kinks) or 1e-2 of a jump (stair).

    Args:
        name: of Darknet's activation; one that works over channels is taken at `mean`.
        mean, spread: float64, shape (C,); the spread is a standard deviation, 0 or more.

    Returns:
        float64, shape (C,).
    """
    activation = ACTIVATIONS[name]
    if activation.over_channels or not spread.any():
        return activation.function(mean)
    slope = {"linear": 1.0, "leaky": 0.1, "relu": 0.0, "relie": 0.01}.get(name)
    if slope is not None:
        return slope * mean + (1 - slope) * _expected_positive_part(mean, spread)
    nodes, weights = _normal_nodes()
    return activation.function(mean[:, None] + spread[:, None] * nodes) @ weights


def _expected_positive_part(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """E[max(x, 0)] = mean Phi(mean/spread) + spread phi(mean/spread)."""
    z = np.divide(mean, spread, out=np.zeros_like(mean), where=spread > 0)
    below = 0.5 * (1 + _ERF(z / math.sqrt(2)).astype(np.float64))
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return np.where(spread > 0, mean * below + spread * density, np.maximum(mean, 0))


def _normal_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of a Gauss-Legendre rule on [-8, 8] under the standard normal density; they sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes *= _REACH
    weights *= np.exp(-0.5 * nodes * nodes)
    return nodes, weights / weights.sum()
