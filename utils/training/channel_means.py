"""The mean of every channel over calibration images: what a removed channel is best replaced by."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from models import model_with
from utils.darknet import Network, Weights


def channel_means(network: Network, weights: Weights, batches: Iterable[np.ndarray], *,
                  device: str = "cpu") -> dict[int, np.ndarray]:
    """Run a network over images and average each layer's output over images and pixels, in float64.

    Args:
        batches: images, (N, C, H, W) float32 in [0, 1] each.

    Returns:
        {layer: float64 (C,)} for every layer whose output is a map (N, C, H, W).
    """
    model = model_with(network, weights).to(device)
    sums: dict[int, Tensor] = {}
    pixels: dict[int, int] = {}

    def collect(index: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if output.dim() == 4:
                sums[index] = sums.get(index, 0) + output.sum(dim=(0, 2, 3), dtype=torch.float64)
                pixels[index] = pixels.get(index, 0) + output[:, 0].numel()
        return hook

    for index, layer in enumerate(model.layers):
        layer.register_forward_hook(collect(index))
    last = len(model.layers) - 1
    with torch.inference_mode():
        for images in batches:
            model.forward_layers(torch.from_numpy(images).to(device), (last,))
    return {index: (total / pixels[index]).cpu().numpy() for index, total in sums.items()}
