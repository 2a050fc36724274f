"""Two cuts as one: the plan of the first network that removes what both remove."""

from __future__ import annotations

import numpy as np

from utils.darknet import Network
from utils.errors import PlanError
from utils.pruning.keep import Keep
from utils.pruning.plan import Plan
from utils.pruning.selection import chosen_blocks, removed_layers
from utils.pruning.surgery import planned_network


def composed(network: Network, first: Plan, second: Plan) -> Plan:
    """The plan that does at once what `first` does to `network` and `second` to what is left of it.

    strategy and parameters are those of `second`. Carriers of the first cut are none of the network's own channels,
    adders none of its layers: `first` must have been carried out without them.

    Limit: a grouped convolution with one channel per group left has become a depthwise one, and a depthwise one with one
    channel left an ordinary one. If `second` removes what only these can lose, `kept_classes` refuses the composed plan.

    Raises:
        PlanError: `first` belongs to another network, or `second` to another one than the first leaves; or `second` removes
            a residual block that only became one when the first had removed another inside it.
    """
    if planned_network(network, first).fingerprint != second.fingerprint:
        raise PlanError(network.path, "becomes another network by the first plan than the second was made for",
                        "give two plans that follow each other")
    gone = removed_layers(chosen_blocks(network, first.blocks))
    old_of = [layer.index for layer in network.layers if layer.index not in gone]
    keep = dict(first.keep)
    for place, kept in second.keep.items():
        index = old_of[place]
        before = first.keep.get(index, Keep.all(network.layers[index].shape.channels))
        keep[index] = Keep(before.filters, tuple(np.array(before.channels)[list(kept.channels)].tolist()))
    blocks = (*first.blocks, *(old_of[shortcut] for shortcut in second.blocks))
    gone = removed_layers(chosen_blocks(network, blocks))
    return Plan(second.strategy, second.parameters, network.fingerprint,
                {index: kept for index, kept in keep.items() if index not in gone}, blocks)
