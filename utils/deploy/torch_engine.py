"""Our own models.Darknet, fused, behind the engines' protocol: the reference that the others are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from utils.darknet import Network, read_network, read_weights
from utils.deploy.network_input import checked_input, head_inputs


class TorchEngine:
    """Runs a pair through torch on the CPU, batch norms folded."""

    name = "torch"

    def __init__(self, cfg_path: str | Path, weights_path: str | Path, *, threads: int | None = None,
                 layers: Sequence[int] | None = None, epsilon_corrected: bool = False) -> None:
        from models import Darknet, set_weights  # torch takes a second to import; the other engines do without

        self.threads = threads
        self._network = read_network(cfg_path)
        weights = read_weights(weights_path, self._network)
        self._layers = head_inputs(self._network) if layers is None else tuple(layers)
        model = Darknet(self._network)
        set_weights(model, weights)
        self._model = model.fuse()

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        """What enters each head for a batch (N, C, H, W) of any size: [(N, C, gy, gx)] float32, cfg order."""
        import torch

        x = checked_input(x, self._network)
        with torch_threads(self.threads), torch.inference_mode():
            outputs = self._model.forward_layers(torch.from_numpy(x), self._layers)
        return [np.ascontiguousarray(outputs[index].numpy(), np.float32) for index in self._layers]


def torch_problems(network: Network) -> list[str]:
    """Layers whose numbers no file holds: torch would run them with its initial ones."""
    return [f"{layer.where}: dontload=1: the weights file does not hold this layer's numbers"
            for layer in network.layers if getattr(layer.options, "dontload", False)]


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Torch's thread count is one per process: set while a network runs, then put back."""
    import torch

    if threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
