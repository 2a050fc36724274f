"""Batch-norm recalibration: means and variances measured anew on images, because a cut moved them.

Source: EagleEye, ECCV 2020 (https://arxiv.org/abs/2007.02491), which ranks pruned networks after this step.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from models import get_weights, model_with
from utils.darknet import Network, Weights
from utils.errors import DataError
from utils.layers.normalisation import BatchNorm


def recalibrated(network: Network, weights: Weights, batches: Iterable[np.ndarray], *, device: str = "cpu") -> Weights:
    """Weights whose running means and variances are those of these images; all else is shared.

    Each batch is normalised by its own statistics on the way, as in training, and the statistics of all batches are
    averaged, each as often as it has images. A single image cannot measure the variance of a layer whose map is a single
    pixel; where the network has such a layer, batches of one are left out.

    Args:
        batches: images, (N, C, H, W) float32 in [0, 1] each; larger ones measure better.

    Raises:
        DataError: no image, or batches of a single one where two are needed.
    """
    model = model_with(network, weights).to(device)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return weights
    for norm in norms:
        norm.train()
        norm.register_forward_pre_hook(_Average())
    least = 2 if _has_single_pixels(network) else 1
    last, measured = len(model.layers) - 1, 0
    with torch.no_grad():
        for images in batches:
            if len(images) < least:
                continue
            measured += len(images)
            model.forward_layers(torch.from_numpy(images).to(device), (last,))
    if not measured:
        raise DataError("calibration", "has too few images to measure batch norms on",
                        f"give {least} or more" + (" in a batch" if least > 1 else ""))
    new = get_weights(model.cpu())
    layers = tuple({**old, **{name: one[name] for name in ("mean", "var") if name in old}}
                   for old, one in zip(weights.layers, new.layers, strict=True))
    return Weights(weights.header, layers, weights.held)


class _Average:
    """Makes the running statistics of a batch norm the average over all images, those of its first batch at first."""

    def __init__(self) -> None:
        self._images = 0

    def __call__(self, norm: BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        self._images += len(inputs[0])
        norm.momentum = len(inputs[0]) / self._images


def _has_single_pixels(network: Network) -> bool:
    return any(layer.shape.height * layer.shape.width == 1 for layer in network.layers
               if any(array.name == "var" for array in layer.arrays))
