"""Importance by the size of a filter's weights: L1 and L2 norms, and LAMP.

Sources: Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017 (https://arxiv.org/abs/1608.08710); Lee et al.,
Layer-Adaptive Magnitude-based Pruning, ICLR 2021 (https://arxiv.org/abs/2010.07611), here for whole filters.
"""

from __future__ import annotations

import numpy as np

from utils.darknet import Network, Weights


def weight_norm_importance(network: Network, weights: Weights, power: int = 1) -> dict[int, np.ndarray]:
    """Sum of |w|^power over each filter of every convolution, divided by the layer's mean so that layers compare.

    Returns:
        layer index to float64 (filters,). Convolutions whose arrays the file does not hold are left out.
    """
    scores = {}
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        if layer.kind == "convolutional" and "weight" in arrays:
            sums = (np.abs(arrays["weight"].astype(np.float64)) ** power).sum(axis=(1, 2, 3))
            scores[layer.index] = sums / (sums.mean() or 1.0)
    return scores


def lamp_importance(network: Network, weights: Weights) -> dict[int, np.ndarray]:
    """Squared norm of each filter over the sum of those that are as large or larger; the largest of a layer has 1."""
    return {layer: _lamp(sums) for layer, sums in weight_norm_importance(network, weights, 2).items()}


def _lamp(squares: np.ndarray) -> np.ndarray:
    order = np.argsort(squares, kind="stable")
    rest = np.cumsum(squares[order][::-1])[::-1]
    scores = np.empty_like(squares)
    scores[order] = np.divide(squares[order], rest, out=np.ones_like(rest), where=rest > 0)
    return scores
