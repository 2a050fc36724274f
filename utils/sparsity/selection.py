"""Which batch-norm scales sparsity training presses: those whose channels a strategy could remove."""

from __future__ import annotations

import numpy as np

from utils.darknet import Network
from utils.errors import PlanError
from utils.pruning import ChannelGroups, ClassScores, channel_groups


def pressed_channels(network: Network, prune: int = 1) -> dict[int, np.ndarray]:
    """The channels whose gamma is pressed: layer to bool, shape (filters,); layers without any are left out.

    These are the channels of batch-norm convolutions, depthwise ones included, that are not fixed: with prune=1 exactly
    the statistic of slim pruning. A convolution with share_index has no gamma of its own and is never among them.

    With prune=0 channels are left out that are tied across convolutions: those of a shortcut, of sam and of
    scale_channels. A depthwise convolution does not tie its channels, it passes them on: both gammas are pressed,
    unless the channels are tied elsewhere.

    Raises:
        PlanError: there is none.
    """
    groups = channel_groups(network)
    ones = {layer.index: np.ones(layer.shape.channels) for layer in network.layers
            if layer.kind == "convolutional" and layer.options.batch_normalize and layer.options.share_index is None}
    free = ClassScores.of(groups, ones).prunable
    if prune == 0:
        free = free & ~_tied_across_layers(groups)
    chosen = {layer: free[groups.vectors[layer]] for layer in ones}
    chosen = {layer: flags for layer, flags in chosen.items() if flags.any()}
    if not chosen:
        untied = "; or take --prune 1, if shortcuts tie all of them" if prune == 0 else ""
        raise PlanError(network.path, "has no batch-norm scale to press: all channels are fixed or without batch norm",
                        f"train it with batch_normalize=1, or without -sr{untied}")
    return chosen


def _tied_across_layers(groups: ChannelGroups) -> np.ndarray:
    """Per class, whether more than one convolution makes its channels."""
    makers = np.zeros(groups.count, dtype=np.intp)
    for layer in groups.producers:
        makers[np.unique(groups.vectors[layer])] += 1
    return makers > 1
