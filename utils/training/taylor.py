"""Importance by gradients: how much the loss would change, to first order, if a channel's scale went to zero.

Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019
(https://arxiv.org/abs/1906.10771), with the batch norm's gamma and beta as the gate.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from models import model_with
from utils.darknet import Network, Weights
from utils.layers import ConvolutionalLayer
from utils.training.hyperparameters import hyperparameters
from utils.training.loss_of_network import loss_of_network, recipe_of


def taylor_importance(network: Network, weights: Weights, batches: Iterable[tuple[np.ndarray, np.ndarray]], *,
                      device: str = "cpu") -> dict[int, np.ndarray]:
    """(gamma * dL/dgamma + beta * dL/dbeta)^2, averaged over batches, for every convolution with batch norm.

    Args:
        batches: images (N, C, H, W) float32 in [0, 1], and targets (n, 6): image, class, centre x, centre y, width, height.

    Returns:
        {layer: float64 (filters,)}.

    Raises:
        CfgError: heads that cannot be trained.
    """
    model = model_with(network, weights).to(device)
    recipe = recipe_of(network)
    loss = loss_of_network(network, hyperparameters(network, recipe).as_dict(), recipe)
    norms = {layer.section.index: layer.bn for layer in model.layers
             if isinstance(layer, ConvolutionalLayer) and layer.bn is not None and layer.shared_with is None}
    scores = {index: torch.zeros(len(norm.weight), dtype=torch.float64) for index, norm in norms.items()}
    count = 0
    for images, targets in batches:
        model.zero_grad(set_to_none=True)
        raw = model(torch.from_numpy(images).to(device))[1]
        loss(raw, torch.from_numpy(targets), (images.shape[2], images.shape[3])).total.backward()
        for index, norm in norms.items():
            scores[index] += _gate(norm.weight, norm.bias).square().double().cpu()
        count += 1
    return {index: (score / max(1, count)).numpy() for index, score in scores.items()}


def _gate(gamma: Tensor, beta: Tensor) -> Tensor:
    assert gamma.grad is not None  # behind a backward pass
    assert beta.grad is not None
    return gamma.detach() * gamma.grad + beta.detach() * beta.grad
