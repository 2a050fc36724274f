"""A convolution of a map of which some places are missing, in less time the more of them are."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked_convolution(layer: nn.Conv2d, maps: Tensor, stays: Tensor) -> Tensor:
    """What `layer` makes of a map that is 0 where `stays` is False.

    On CPUs each place that stays is multiplied with the kernel once and added to its nine neighbours, so that time goes with
    the number of such places, forward and backward. Elsewhere the whole map is convolved: a GPU would add to neighbours in
    an order that differs from run to run, and is quick with whole maps. Both are equal to rounding.

    Args:
        layer: 3x3, with padding 1, stride 1 and a bias.
        maps: (N, Cin, H, W). stays: bool (N, 1, H, W).

    Returns:
        (N, Cout, H, W).
    """
    if maps.device.type != "cpu":
        made: Tensor = layer(maps * stays.to(maps.dtype))
        return made
    assert layer.bias is not None
    images, channels, height, width = maps.shape
    image, _, row, column = stays.nonzero(as_tuple=True)
    places = maps.permute(0, 2, 3, 1).reshape(-1, channels)[(image * height + row) * width + column]
    kernel = layer.weight.permute(0, 2, 3, 1).reshape(-1, channels)  # no copy where the memory format is channels last
    parts = (places @ kernel.t()).view(-1, layer.out_channels, 9).transpose(1, 2).reshape(-1, layer.out_channels)
    wide = width + 2  # with a border, so that all neighbours are inside
    steps = torch.tensor([-down * wide - right for down in (-1, 0, 1) for right in (-1, 0, 1)])
    neighbours = ((image * (height + 2) + row + 1) * wide + column + 1)[:, None] + steps
    sums = parts.new_zeros((images * (height + 2) * wide, layer.out_channels), dtype=layer.weight.dtype)
    sums = sums.index_add(0, neighbours.flatten(), parts.to(sums.dtype))
    inside = sums.view(images, height + 2, wide, -1)[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
    return inside + layer.bias[:, None, None]
