"""The fixed low-pass filter behind antialiasing=1 and 2 (blur pooling, Zhang, ICML 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Blur(nn.Module):
    """Depthwise blur with a stride: [1 2 1] x [1 2 1] / 16 with padding 1, or a 2x2 mean without padding.

    Args:
        channels: of the input and the output.
        stride: (y, x).
        antialiasing: 1 for the 3x3 kernel, 2 for the 2x2 mean, as the cfg option.

    (N, C, H, W) -> (N, C, (H + 2p - k)//sy + 1, (W + 2p - k)//sx + 1).
    """

    def __init__(self, channels: int, stride: tuple[int, int], antialiasing: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 1.0] if antialiasing == 2 else [1.0, 2.0, 1.0])
        kernel = torch.outer(line, line) / line.sum() ** 2
        self.kernel: Tensor
        self.register_buffer("kernel", kernel.expand(channels, 1, *kernel.shape).contiguous(), persistent=False)
        self.stride = stride
        self.padding = 0 if antialiasing == 2 else 1

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel.to(x.dtype), stride=self.stride, padding=self.padding, groups=x.shape[1])
