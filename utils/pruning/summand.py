"""How far what a residual block adds is carried: through later sums, routes and poolings, to all that read it."""

from __future__ import annotations

import numpy as np

from utils.darknet import Network, Slice
from utils.pruning.blocks import ResidualBlock
from utils.pruning.statistics import ActivationStatistics

_PASS_ON = frozenset({"maxpool", "dropout", "local_avgpool", "empty"})


def carried_variances(network: Network, block: ResidualBlock,
                      statistics: ActivationStatistics) -> dict[int, np.ndarray]:
    """The variance that a block's branch brings into each channel of the layers behind it, {layer: float64 (C,)}.

    Layers that add, copy and pool pass it on; a convolution, or whatever else bends it, ends it.
    """
    sum_width = network.layers[block.shortcut].shape.channels
    carried = {block.shortcut: statistics.variances[block.branch[-1]][:sum_width]}
    for layer in network.layers[block.shortcut + 1:]:
        inputs = [carried.get(source) for source in layer.inputs]
        if all(one is None for one in inputs):
            continue
        filled = [np.zeros(shape.channels) if one is None else one
                  for one, shape in zip(inputs, layer.input_shapes, strict=True)]
        if layer.kind == "shortcut" and layer.options.activation == "linear":
            total = filled[0].copy()
            for other in filled[1:]:
                width = min(len(total), len(other))
                total[:width] += other[:width]
            carried[layer.index] = total
        elif layer.kind == "route":
            blocks, block_id = (layer.rule.groups, layer.rule.group_id) if isinstance(layer.rule, Slice) else (1, 0)
            carried[layer.index] = np.concatenate([one.reshape(blocks, -1)[block_id] for one in filled])
        elif layer.kind == "upsample":
            carried[layer.index] = filled[0] * layer.options.scale**2
        elif layer.kind in _PASS_ON:
            carried[layer.index] = filled[0]
    return carried
