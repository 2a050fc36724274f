"""How much of what the heads read comes from each channel: importance handed back from the heads, layer by layer.

A convolution hands the importance of a filter on to its inputs in proportion to the variance that each brings in; a sum to
its summands likewise. So an error of one channel, in units of the channel's variance, counts with its share in what the
heads read. Source: neuron importance score propagation (NISP, CVPR 2018, https://arxiv.org/abs/1711.05908), here by shares of
measured variances.
"""

from __future__ import annotations

import numpy as np

from utils.darknet import IMAGE, Concat, Fresh, Layer, Network, Same, Slice, Tied, Weights
from utils.pruning.statistics import ActivationStatistics


def downstream_importance(network: Network, weights: Weights,
                          statistics: ActivationStatistics) -> dict[int, np.ndarray]:
    """Per layer the importance of each channel of its output; each head's inputs have 1 in all. {layer: float64 (C,)}."""
    importance = {layer.index: np.zeros(layer.shape.channels) for layer in network.layers}
    importance[IMAGE] = np.zeros(network.net.channels)
    ends = [layer.inputs[0] for layer in network.heads] or [len(network.layers) - 1]
    for index in ends:
        importance[index] += 1 / len(importance[index])
    for layer in reversed(network.layers):
        if not layer.is_head:
            for source, share in zip(layer.inputs, _shares(layer, weights, statistics, importance[layer.index]), strict=True):
                importance[source] += share
    return importance


def _shares(layer: Layer, weights: Weights, statistics: ActivationStatistics, own: np.ndarray) -> list[np.ndarray]:
    """What each input of a layer gets of the layer's own importance, (C,) each."""
    widths = [shape.channels for shape in layer.input_shapes]
    match layer.rule:
        case Fresh(blocks) if layer.kind == "convolutional":
            variance = statistics.covariances[layer.inputs[0]].diagonal().reshape(blocks, 1, -1)
            kernel = np.square(weights.layers[layer.index]["weight"].astype(np.float64)).sum(axis=(2, 3))
            brought = kernel.reshape(blocks, -1, kernel.shape[1]) * variance
            brought /= np.maximum(brought.sum(axis=2, keepdims=True), 1e-30)
            return [np.einsum("go,goc->gc", own.reshape(blocks, -1), brought).reshape(-1)]
        case Same(multiplier, repeats):
            return [own.reshape(repeats, -1, multiplier).sum(axis=(0, 2))]
        case Concat():
            return np.split(own, np.cumsum(widths)[:-1])
        case Slice(groups, group_id):
            parts, start = [], 0
            for width in widths:
                part = np.zeros((groups, width // groups))
                part[group_id] = own[start:start + width // groups]
                parts.append(part.reshape(-1))
                start += width // groups
            return parts
        case Tied() if layer.kind == "shortcut":
            variances = [_fitted(statistics.variances[source], len(own)) if source in statistics.variances else np.ones(len(own))
                         for source in layer.inputs]
            total = np.maximum(sum(variances), 1e-30)
            return [_fitted(own * variance / total, width) for variance, width in zip(variances, widths, strict=True)]
        case Tied():
            return [_fitted(own, width) for width in widths]
    return [np.full(width, own.sum() / width) for width in widths]


def _fitted(values: np.ndarray, width: int) -> np.ndarray:
    """The first `width` values, zeros where there are fewer."""
    return np.pad(values, (0, max(0, width - len(values))))[:width]
