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
from utils.layers.normalisation import batch_norm, batch_norm_arrays
from utils.layers.winograd import winograd_convolution, winograd_pays, winograd_suits


class ConvolutionalLayer(DarknetLayer):
    """(N, C, H, W) -> (N, filters, H', W'), see convolutional_layer.c.

    The padding on each side is padding * dilation. A 1x1 kernel with stride_x=1 reads its input as it is: padding and
    stride_y do not count. With antialiasing the convolution runs at stride 1 and the blur takes the stride.

    Attributes:
        weight: (filters, C/groups, size, size).
        bias: (filters,), or None where `bn` adds its own.
        bn: BatchNorm of the output, or None.
        shared_with: index of the layer whose weight, bias and bn these are (share_index), or None.
        winograd: whether inputs that suit it go to NNPACK; see `prefer_winograd`.
    """

    def __init__(self, section: Layer, owner: ConvolutionalLayer | None = None, *, darknet_cpu: bool = False) -> None:
        super().__init__(section)
        options = section.options
        self.bias: nn.Parameter | None
        self.bn: nn.Module | None
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
        self.winograd = False
        self._plain_weight: Tensor | None = None  # weight without channels_last, as NNPACK wants it

    def share(self, owner: ConvolutionalLayer) -> None:
        """Use the weight, bias and batch normalisation of another layer: the same objects, trained by both."""
        self.weight, self.bias, self.bn = owner.weight, owner.bias, owner.bn

    def arrays(self) -> Mapping[str, Tensor]:
        if self.shared_with is not None:
            return {}
        if self.bn is None:
            return {"bias": self.bias, "weight": self.weight}
        return {**batch_norm_arrays(self.bn), "weight": self.weight}

    def prefer_winograd(self) -> None:
        """Let NNPACK compute a fused 3x3 convolution of stride 1 where that pays; for prediction only."""
        geometry = (self.weight.shape[2:], self.stride, self.padding, self.dilation, self.groups)
        if geometry == ((3, 3), (1, 1), 1, 1, 1) and self.bias is not None and self.bn is None and winograd_pays():
            self.winograd = True

    def forward(self, x: Tensor) -> Tensor:
        if self.winograd and winograd_suits(x):
            if self._plain_weight is None:  # a copy, only where a map is large enough for NNPACK
                self._plain_weight = self.weight.detach().contiguous()
            x = winograd_convolution(x, self._plain_weight, self.bias)
        else:
            x = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
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
