"""Relevance: the share of what convolutions give that each channel carries, as if no other could stand in for it.

For a channel c read by convolution i: the mean over filters o of (sum over taps of W[o, c]^2) * var(x_c) / var(y_o). A group
of tied channels has the sum over all its readers.
"""

from __future__ import annotations

import numpy as np

from utils.darknet import Fresh, Network, Weights
from utils.pruning.groups import ChannelGroups
from utils.pruning.statistics import ActivationStatistics


def class_relevance(network: Network, weights: Weights, groups: ChannelGroups,
                    statistics: ActivationStatistics) -> np.ndarray:
    """Per class, float64 (groups.count,); 0 where no convolution reads it."""
    relevance = np.zeros(groups.count)
    for layer in network.layers:
        if layer.kind != "convolutional" or not isinstance(layer.rule, Fresh):
            continue
        source, blocks = layer.inputs[0], layer.options.groups
        energy = np.square(weights.layers[layer.index]["weight"].astype(np.float64)).sum(axis=(2, 3))
        response = statistics.responses[layer.index]
        energy /= np.maximum(response, 1e-12 + 1e-6 * response.mean())[:, None]
        carried = energy.reshape(blocks, -1, energy.shape[1]).sum(axis=1).reshape(-1) / len(energy)
        np.add.at(relevance, groups.vector(source), carried * statistics.covariances[source].diagonal())
    return relevance
