"""[convolutional]: convolution, batch normalisation, activation and blur, with Darknet's geometry."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.darknet import Layer
from utils.layers.activations import Activate
from utils.layers.base import DarknetLayer, Surroundings
from utils.layers.blur import Blur
from utils.layers.fast_convolution import convolved, fast_way, fast_ways_pay, prepared
from utils.layers.normalisation import BatchNorm, batch_norm, batch_norm_arrays


class ConvolutionalLayer(DarknetLayer):
    """(N, C, H, W) -> (N, filters, H', W'), see convolutional_layer.c.

    The padding on each side is padding * dilation. A 1x1 kernel with stride_x=1 reads its input as it is: padding and
    stride_y do not count. With antialiasing the convolution runs at stride 1 and the blur takes the stride.

    Attributes:
        weight: (filters, C/groups, size, size).
        bias: (filters,), or None where `bn` adds its own.
        bn: BatchNorm of the output, or None.
        shared_with: index of the layer whose weight, bias and bn these are (share_index), or None.
        fast: whether inputs that suit one take a faster way than torch's; see `prefer_fast_ways`.
    """

    def __init__(self, section: Layer, owner: ConvolutionalLayer | None = None, *, darknet_cpu: bool = False) -> None:
        super().__init__(section)
        options = section.options
        self.bias: nn.Parameter | None
        self.bn: BatchNorm | None
        self.shared_with = owner.section.index if owner is not None else None
        if owner is not None:
            self.share(owner)
        else:
            kernel = (options.filters, section.input_shapes[0].channels // options.groups, options.size, options.size)
            self.weight = nn.Parameter(torch.empty(kernel))
            self.bias = None if options.batch_normalize else nn.Parameter(torch.empty(options.filters))
            self.bn = batch_norm(options.filters) if options.batch_normalize else None
        self.activate = Activate(options.activation, section.kind, darknet_cpu=darknet_cpu)
        stride = (options.stride_y, options.stride_x)
        self.blur = Blur(options.filters, stride, options.antialiasing) if options.antialiasing else None
        self.stride, self.padding = self._geometry((1, 1) if options.antialiasing else stride)
        self.dilation, self.groups = options.dilation, options.groups
        self.fast = False
        self._prepared: dict[str, Tensor] = {}  # the kernel as a fast way wants it, from its first use on

    def share(self, owner: ConvolutionalLayer) -> None:
        """Use the weight, bias and batch normalisation of another layer: the same objects, trained by both."""
        self.weight, self.bias, self.bn = owner.weight, owner.bias, owner.bn

    def arrays(self) -> Mapping[str, Tensor]:
        if self.shared_with is not None:
            return {}
        if self.bn is None:
            return {"weight": self.weight} if self.bias is None else {"bias": self.bias, "weight": self.weight}
        return {**batch_norm_arrays(self.bn), "weight": self.weight}

    def prefer_fast_ways(self) -> None:
        """Let a fused 3x3 or 1x1 convolution that keeps the map's size take a faster way; for prediction only."""
        size = self.weight.shape[2]
        keeps_size = (self.weight.shape[2:] == (size, size) and self.stride == (1, 1)
                      and self.padding == size // 2 and self.dilation == self.groups == 1)
        self.fast = size in (1, 3) and keeps_size and self.bias is not None and self.bn is None and fast_ways_pay()

    def forward(self, x: Tensor) -> Tensor:
        way = fast_way(x, self.weight) if self.fast else None
        if way is not None and self.bias is not None:
            if way not in self._prepared:
                self._prepared[way] = prepared(self.weight, way)
            x = convolved(x, self._prepared[way], self.bias, way)
        else:
            x = self.convolved(x)
        return self.finished(x)

    def convolved(self, x: Tensor) -> Tensor:
        """What comes before batch norm: the convolution alone, plus the bias where there is no batch norm."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def finished(self, x: Tensor) -> Tensor:
        """The layer's output from what `convolved` gave: batch norm, activation and blur."""
        if self.bn is not None:
            x = self.bn(x)
        x = self.activate(x)
        return x if self.blur is None else self.blur(x)

    def _geometry(self, stride: tuple[int, int]) -> tuple[tuple[int, int], int]:
        options = self.section.options
        if options.size == 1 and stride[1] == 1 and options.dilation == 1:
            return (1, 1), 0
        return stride, options.padding * options.dilation


def build_convolutional(section: Layer, around: Surroundings) -> DarknetLayer:
    """[convolutional] as a module; with share_index it holds the parameters of an earlier one."""
    owner = None
    if section.options.share_index is not None:
        owner = around.earlier[section.options.share_index]
        if not isinstance(owner, ConvolutionalLayer):
            raise DarknetLayer(section).error(f"shares the weights of layer {section.options.share_index}, "
                                              "which is no [convolutional]", "name one in share_index=")
    return ConvolutionalLayer(section, owner, darknet_cpu=around.darknet_cpu)
