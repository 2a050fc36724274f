"""Networks run layer by layer over images, so that something can happen between two layers.

Images come in blocks. A block joins as late as it can: maps are large in the first layers and small in the deep ones, so a
few blocks are enough at the beginning, and memory stays within a bound that has nothing to do with their number. Each
image still passes each layer once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models import Darknet
from utils.darknet import IMAGE, Network


class Lane:
    """One network and the maps of each block that a later layer still reads."""

    def __init__(self, model: Darknet) -> None:
        self.model = model
        network = model.network
        self._last_reader = {layer.index: max(network.consumers(layer.index), default=layer.index)
                             for layer in network.layers}
        self._last_reader[IMAGE] = max((layer.index for layer in network.layers if IMAGE in layer.inputs), default=-1)
        self._maps: list[dict[int, Tensor]] = []

    def join(self, images: Tensor, before: int) -> None:
        """Add a block (N, C, H, W), and bring it to where the others are: through all layers before `before`."""
        self._maps.append({IMAGE: images})
        for index in range(before):
            self.step(len(self._maps) - 1, index)

    def inputs(self, block: int, index: int) -> list[Tensor]:
        """What layer `index` reads."""
        sources = self.model.network.layers[index].inputs or (IMAGE,)
        return [self._maps[block][source] for source in sources]

    def put(self, block: int, index: int, output: Tensor) -> None:
        """Note the output of layer `index`, and forget what nobody reads after it."""
        maps = self._maps[block]
        maps[index] = output
        for source in [source for source in maps if self._last_reader[source] <= index]:
            del maps[source]

    def step(self, block: int, index: int) -> Tensor:
        """Run layer `index` and give its output; that of a head is what it reads."""
        inputs = self.inputs(block, index)
        output = inputs[0] if self.model.network.layers[index].is_head else self.model.layers[index](*inputs)
        self.put(block, index, output)
        return output


def blocks_at(networks: Sequence[Network], blocks: int, images: int, budget: int) -> list[int]:
    """How many blocks of images to have at each layer of the first network, so that all maps fit; never fewer than before.

    Args:
        networks: those that run beside each other, the later ones the first without some of its layers.
        blocks: how many there are. images: per block. budget: of all maps together, in bytes.

    Returns:
        One number per layer, at least 2: a budget that is too small for two blocks is exceeded.
    """
    count = len(networks[0].layers)
    numbers = [0] * count
    for network in networks:
        live, missing = _live_numbers(network), count - len(network.layers)
        for index in range(count):
            numbers[index] += max(live[max(0, index - missing):index + 1])
    most, smallest = [], blocks
    for size in reversed(numbers):
        smallest = min(smallest, max(2, budget // (4 * size * images)))
        most.append(smallest)
    return most[::-1]


def _live_numbers(network: Network) -> list[int]:
    """Numbers in all maps that must be there while each layer runs, for one image."""
    last = {layer.index: max(network.consumers(layer.index), default=layer.index) for layer in network.layers}
    first = max((layer.index for layer in network.layers if IMAGE in layer.inputs), default=-1)
    shape = network.input_shape
    live = []
    for layer in network.layers:
        own = sum(other.shape.size for other in network.layers[:layer.index + 1] if last[other.index] >= layer.index)
        live.append(own + (shape.size if first >= layer.index else 0))
    return live


def on_device(images: object, device: torch.device) -> Tensor:
    """A numpy block as a tensor, in the memory format that convolutions like."""
    return torch.from_numpy(images).to(device).contiguous(memory_format=torch.channels_last)
