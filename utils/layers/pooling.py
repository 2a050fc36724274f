"""[maxpool], [local_avgpool] and [avgpool], with Darknet's one-sided padding (maxpool_layer.c, avgpool_layer.c)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.darknet import Layer
from utils.layers.base import DarknetLayer, Surroundings
from utils.layers.blur import Blur


class Window:
    """Where pooling windows lie along one side of a map.

    `padding` is the total; the first window starts padding//2 before the map, and there are
    (side + padding - size)//stride + 1 of them. So size 2, stride 1 keeps the side and looks one pixel further.
    """

    def __init__(self, size: int, stride: int, padding: int) -> None:
        self.size, self.stride, self.padding = size, stride, padding

    def count(self, side: int) -> int:
        """How many windows a side of this length has."""
        return (side + self.padding - self.size) // self.stride + 1

    def margins(self, side: int) -> tuple[int, int]:
        """Pixels to add before and after the side so that each window has all its pixels."""
        before = self.padding // 2
        return before, max(0, (self.count(side) - 1) * self.stride + self.size - before - side)

    def valid(self, side: int, like: Tensor) -> Tensor:
        """How many pixels of each window lie on the map, shape (count,)."""
        starts = torch.arange(self.count(side), device=like.device) * self.stride - self.padding // 2
        return ((starts + self.size).clamp(max=side) - starts.clamp(min=0)).to(like.dtype)


class MaxPoolLayer(DarknetLayer):
    """(N, C, H, W) -> (N, C, (H + padding - size)//stride_y + 1, ...); what lies outside never wins."""

    def __init__(self, section: Layer) -> None:
        super().__init__(section)
        options = section.options
        strides = (options.stride_y, options.stride_x)
        self.blur = None
        if options.antialiasing:
            self.blur = Blur(section.shape.channels, strides, options.antialiasing)
            strides = (1, 1)
        self.size, self.stride = options.size, strides
        self.rows, self.columns = (Window(options.size, stride, options.padding) for stride in strides)

    def forward(self, x: Tensor) -> Tensor:
        top, bottom = self.rows.margins(x.shape[-2])
        left, right = self.columns.margins(x.shape[-1])
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            x = x.contiguous(memory_format=torch.channels_last)  # torch pools these five to fifteen times faster
        if top == bottom == left == right and 2 * top <= self.size:
            x = self._pool(x, top)
        elif top == left == 0 and max(bottom, right) == 1 and self.size == 2 and self.stride == (2, 2):
            x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        else:
            x = self._pool(F.pad(x, (left, right, top, bottom), value=torch.finfo(x.dtype).min), 0)
        return x if self.blur is None else self.blur(x)

    def _pool(self, x: Tensor, padding: int) -> Tensor:
        if self.size < 5 or self.stride != (1, 1) or torch.is_grad_enabled():
            return F.max_pool2d(x, self.size, self.stride, padding)
        x = F.max_pool2d(x, (1, self.size), 1, (0, padding))  # a maximum of row maxima: 2k pixels read, not k*k
        return F.max_pool2d(x, (self.size, 1), 1, (padding, 0))


class MaxPoolDepthLayer(DarknetLayer):
    """maxpool_depth=1: output channel g is the maximum of channels g, g + out_channels, g + 2*out_channels, ..."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        out = self.section.options.out_channels
        missing = -channels % out
        if missing:
            x = F.pad(x, (0, 0, 0, 0, 0, missing), value=torch.finfo(x.dtype).min)
        return x.reshape(batch, (channels + missing) // out, out, height, width).amax(1)


class LocalAveragePoolLayer(DarknetLayer):
    """The mean of the pixels of each window that lie on the map; windows as in [maxpool]."""

    def __init__(self, section: Layer) -> None:
        super().__init__(section)
        options = section.options
        self.size, self.stride = options.size, (options.stride_y, options.stride_x)
        self.rows, self.columns = (Window(options.size, stride, options.padding) for stride in self.stride)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        margins = (*self.columns.margins(width), *self.rows.margins(height))
        sums = F.avg_pool2d(F.pad(x, margins), self.size, self.stride, divisor_override=1)
        return sums / torch.outer(self.rows.valid(height, x), self.columns.valid(width, x))


class AveragePoolLayer(DarknetLayer):
    """[avgpool]: the mean of each channel, (N, C, H, W) -> (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


def build_maxpool(section: Layer, _: Surroundings) -> DarknetLayer:
    """[maxpool] as a module."""
    return MaxPoolDepthLayer(section) if section.options.maxpool_depth else MaxPoolLayer(section)


def build_local_avgpool(section: Layer, _: Surroundings) -> DarknetLayer:
    """[local_avgpool] as a module."""
    return LocalAveragePoolLayer(section)


def build_avgpool(section: Layer, _: Surroundings) -> DarknetLayer:
    """[avgpool] as a module."""
    return AveragePoolLayer(section)
