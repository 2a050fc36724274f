"""Batch-norm recalibration: means and variances measured anew on images, because a cut moved them.

Source: EagleEye, ECCV 2020 (https://arxiv.org/abs/2007.02491), which ranks pruned networks after this step.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from models import Darknet, get_weights, set_weights
from utils.darknet import Network, Weights
from utils.errors import DataError


def recalibrated(network: Network, weights: Weights, batches: Iterable[np.ndarray], *, device: str = "cpu") -> Weights:
    """Weights whose running means and variances are those of these images; all else is shared.

    Each batch is normalised by its own statistics on the way, as in training, and the statistics of all batches are
    averaged. A batch of one image cannot measure a layer whose map is a single pixel; it is left out where there are others.

    Args:
        batches: images, (N, C, H, W) float32 in [0, 1] each; larger ones measure better.

    Raises:
        DataError: no image, or a single one where two are needed.
    """
    model = Darknet(network, init=False)
    set_weights(model, weights)
    model.eval().to(device)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return weights
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for the plain average of all batches
        norm.train()
    last, measured = len(model.layers) - 1, 0
    with torch.no_grad():
        for images in batches:
            if len(images) == 1 and (measured or _has_single_pixels(network)):
                continue
            model.forward_layers(torch.from_numpy(images).to(device), (last,))
            measured += len(images)
    if not measured:
        raise DataError("calibration", "has too few images to measure batch norms on", "give two or more images")
    new = get_weights(model.cpu())
    layers = tuple({**old, **{name: one[name] for name in ("mean", "var") if name in old}}
                   for old, one in zip(weights.layers, new.layers, strict=True))
    return Weights(weights.header, layers, weights.held)


def _has_single_pixels(network: Network) -> bool:
    return any(layer.shape.height * layer.shape.width == 1 for layer in network.layers
               if getattr(layer.options, "batch_normalize", False))
