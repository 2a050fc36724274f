"""Batch normalisation as Darknet computes it: epsilon 1e-5 inside the root (batchnorm_layer.c, normalize_cpu)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.darknet import Layer
from utils.layers.base import DarknetLayer, Surroundings

EPSILON = 1e-5
BatchNorm = _BatchNorm
"""What nn.BatchNorm2d and nn.SyncBatchNorm have in common."""


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """An nn.BatchNorm2d with Darknet's epsilon whose parameters and statistics are not yet filled in."""
    bn = nn.BatchNorm2d(channels, eps=EPSILON, device="meta")
    bn.weight, bn.bias = nn.Parameter(torch.empty(channels)), nn.Parameter(torch.empty(channels))
    bn.running_mean, bn.running_var = torch.empty(channels), torch.empty(channels)
    bn.num_batches_tracked = torch.zeros((), dtype=torch.long)
    return bn


def batch_norm_arrays(bn: BatchNorm) -> Mapping[str, Tensor]:
    """The four arrays of a batch norm under the names that a .weights file's reader gives them."""
    assert bn.running_mean is not None  # as for every one that `batch_norm` makes
    assert bn.running_var is not None
    return {"beta": bn.bias, "gamma": bn.weight, "mean": bn.running_mean, "var": bn.running_var}


class BatchNormLayer(DarknetLayer):
    """[batchnorm]: a normalisation that stands alone. (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, section: Layer) -> None:
        super().__init__(section)
        self.bn = batch_norm(section.shape.channels)

    def arrays(self) -> Mapping[str, Tensor]:
        return batch_norm_arrays(self.bn)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x)


def build_batchnorm(section: Layer, _: Surroundings) -> DarknetLayer:
    """[batchnorm] as a module."""
    return BatchNormLayer(section)
