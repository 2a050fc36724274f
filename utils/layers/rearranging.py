"""Layers that move pixels without computing: [upsample], [reorg] and [reorg3d]."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from utils.darknet import Layer
from utils.layers.base import DarknetLayer, Surroundings


class UpsampleLayer(DarknetLayer):
    """Each pixel stride x stride times, multiplied by `scale`: (N, C, H, W) -> (N, C, H*s, W*s)."""

    def forward(self, x: Tensor) -> Tensor:
        options = self.section.options
        if options.stride != 1:
            x = F.interpolate(x, scale_factor=float(options.stride), mode="nearest")
        return x if options.scale == 1 else x * options.scale


class _Rearranging(DarknetLayer):
    def check(self, x: Tensor, *, channels: int = 1, side: int = 1) -> None:
        """CfgError unless the channels and both sides of `x` are multiples of the given numbers."""
        if x.shape[1] % channels or x.shape[2] % side or x.shape[3] % side:
            raise self.error(
                f"cannot cut a map of {x.shape[1]}x{x.shape[2]}x{x.shape[3]} (channels x height x width)",
                f"channels must be a multiple of {channels}, height and width of {side}: change the image size or filters")


class Reorg3dLayer(_Rearranging):
    """Space to depth: output channel k takes input channel k % C at offset (k // C) of each s x s block.

    (N, C, H, W) -> (N, C*s*s, H/s, W/s).
    """

    def forward(self, x: Tensor) -> Tensor:
        s = self.section.options.stride
        self.check(x, side=s)
        n, c, h, w = x.shape
        return x.reshape(n, c, h // s, s, w // s, s).permute(0, 3, 5, 1, 2, 4).reshape(n, c * s * s, h // s, w // s)


class ReorgLayer(_Rearranging):
    """YOLOv2's [reorg]: (N, C, H, W) -> (N, C*s*s, H/s, W/s) by a permutation that mixes channels and rows.

    Darknet calls `reorg_cpu` (blas.c) with the input's sizes where the output's were meant. So the flat array is first
    read as (C/s/s, H*s, W*s), cut into s x s blocks, and the result, (C, H, W) in memory, gets its new shape.
    """

    def forward(self, x: Tensor) -> Tensor:
        s = self.section.options.stride
        self.check(x, channels=s * s, side=s)
        n, c, h, w = x.shape
        blocks = x.reshape(n, c // (s * s), h, s, w, s)
        return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, c * s * s, h // s, w // s)


class ReorgReverseLayer(_Rearranging):
    """[reorg] with reverse=1, depth to space: (N, C, H, W) -> (N, C/s/s, H*s, W*s)."""

    def forward(self, x: Tensor) -> Tensor:
        s = self.section.options.stride
        self.check(x, channels=s * s)
        n, c, h, w = x.shape
        blocks = x.reshape(n, s, s, c // (s * s), h, w)
        return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, c // (s * s), h * s, w * s)


def build_upsample(section: Layer, _: Surroundings) -> DarknetLayer:
    """[upsample] as a module."""
    return UpsampleLayer(section)


def build_reorg(section: Layer, _: Surroundings) -> DarknetLayer:
    """[reorg] as a module."""
    return ReorgReverseLayer(section) if section.options.reverse else ReorgLayer(section)


def build_reorg3d(section: Layer, _: Surroundings) -> DarknetLayer:
    """[reorg3d] as a module."""
    return Reorg3dLayer(section)
