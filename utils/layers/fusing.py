"""Batch normalisation folded into the layer before it (network.c: fuse_conv_batchnorm)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from utils.layers.base import DarknetLayer
from utils.layers.convolution import ConvolutionalLayer
from utils.layers.normalisation import BatchNorm, batch_norm_arrays
from utils.layers.plain import ConnectedLayer


def folded(weight: Tensor, bn: BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias that compute `bn(weight * x)` in one step; in double precision, as Darknet folds.

    Args:
        weight: (out, ...), the layer's own.
        bn: a BatchNorm over `out` channels with running statistics.

    Returns:
        weight * gamma / sqrt(var + eps), of the weight's shape and type, and beta - gamma * mean / sqrt(var + eps), (out,).
    """
    arrays = {name: tensor.detach().double() for name, tensor in batch_norm_arrays(bn).items()}
    scale = arrays["gamma"] / torch.sqrt(arrays["var"] + bn.eps)
    bias = arrays["beta"] - arrays["mean"] * scale
    kernel = weight.detach().double() * scale.reshape(-1, *[1] * (weight.dim() - 1))
    return kernel.to(weight.dtype), bias.to(weight.dtype)


def fuse_layers(layers: Iterable[DarknetLayer]) -> None:
    """Fold the batch normalisation of all convolutional and connected layers, in place; no way back.

    Layers that share weights (share_index) are folded once and go on sharing them.
    """
    done: dict[int, DarknetLayer] = {}
    for layer in layers:
        done[layer.section.index] = layer
        if isinstance(layer, ConvolutionalLayer) and layer.shared_with is not None:
            owner = done[layer.shared_with]
            if isinstance(owner, ConvolutionalLayer):
                layer.share(owner)
        elif isinstance(layer, ConvolutionalLayer | ConnectedLayer) and layer.bn is not None:
            weight, bias = folded(layer.weight, layer.bn)
            layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
            layer.bn = None
