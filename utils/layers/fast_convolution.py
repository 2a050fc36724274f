"""Convolutions by faster ways than torch's own choice, on CPUs where there are any.

oneDNN multiplies every tap. On CPUs with AVX2 and without AVX-512, Winograd's minimal filtering takes about half the
time for 3x3 kernels, and how depends on the shape (benchmarks/forward.py): NNPACK, which torch brings along, for large
maps; for the many channels of small maps, tiles of 4x4 outputs as 36 matrix products, F(4x4, 3x3). Both differ from
oneDNN by some 1e-5 of the range of the map. NNPACK's maps are not channels_last; a 1x1 kernel that reads one is a plain
matrix product, which spares turning the map around.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016 (arXiv 1509.09308), section 4.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Way = Literal["nnpack", "products", "matrix"]

TILE = 4                     # outputs per tile and side
MANY_CHANNELS = 256          # from here on the products win, on maps of any size
LARGEST_KERNEL = 512 * 512   # kernels; the transformed ones take 4 times the memory, so not for the very largest
LEAST_SIDE = 24              # pixels, for NNPACK: below, its 8x8 tiles are mostly border
LEAST_CHANNELS = 16          # for NNPACK: below, the transforms cost more than they save

_INPUT = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
          (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))
_KERNEL = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
           (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def fast_ways_pay() -> bool:
    """Whether this CPU is one on which these ways are faster; asking also starts NNPACK, which must be asked first."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2" and torch._nnpack_available()


def fast_way(x: Tensor, weight: Tensor) -> Way | None:
    """The fast way for a convolution of (N, C, H, W) with a 3x3 kernel and padding 1, or with a 1x1 kernel; stride 1.

    None: leave it to torch.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.requires_grad:
        return None
    filters, channels = weight.shape[:2]
    if weight.shape[2] == 1:
        return None if x.is_contiguous(memory_format=torch.channels_last) or not x.is_contiguous() else "matrix"
    if channels >= MANY_CHANNELS and filters * channels <= LARGEST_KERNEL:
        return "products"
    return "nnpack" if min(x.shape[2:]) >= LEAST_SIDE and channels >= LEAST_CHANNELS else None


def prepared(weight: Tensor, way: Way) -> Tensor:
    """The kernel (O, C, k, k) as `convolved` wants it."""
    if way == "matrix":
        return weight.detach().flatten(1)
    if way == "nnpack":
        return weight.detach().contiguous()
    taps = weight.detach().double().permute(2, 3, 1, 0)  # (3, 3, C, O)
    transformed = _both_sides(_KERNEL, taps.flatten(2)).to(weight.dtype)
    return transformed.view(36, *taps.shape[2:])


def convolved(x: Tensor, kernel: Tensor, bias: Tensor, way: Way) -> Tensor:
    """The convolution of (N, C, H, W) with a prepared kernel, map size kept, plus bias (O,) -> (N, O, H, W)."""
    if way == "matrix":
        pixels = torch.baddbmm(bias[:, None], kernel.expand(len(x), -1, -1), x.flatten(2))
        return pixels.unflatten(2, x.shape[2:])
    if way == "products":
        return _by_products(x, kernel, bias)
    images = [torch._nnpack_spatial_convolution(image.contiguous(), kernel, bias, [1, 1], [1, 1])
              for image in x.split(1)]  # NNPACK is at its best with one image
    return images[0] if len(images) == 1 else torch.cat(images)


def _by_products(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    count, channels, height, width = x.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    x = F.pad(x, (1, TILE * columns - width + 1, 1, TILE * rows - height + 1)).permute(0, 2, 3, 1)
    tiles = x.unfold(1, TILE + 2, TILE).unfold(2, TILE + 2, TILE)  # (N, rows, columns, C, 6, 6)
    tiles = _both_sides(_INPUT, tiles.permute(4, 5, 0, 1, 2, 3).flatten(2))
    products = torch.bmm(tiles.view(36, -1, channels), kernel)  # (36, tiles, O)
    out = _both_sides(_OUTPUT, products.view(6, 6, -1)).view(TILE, TILE, count, rows, columns, -1)
    out = out.permute(2, 3, 0, 4, 1, 5).reshape(count, TILE * rows, TILE * columns, -1)[:, :height, :width]
    return (out + bias).permute(0, 3, 1, 2)


def _both_sides(matrix: tuple[tuple[float, ...], ...], tiles: Tensor) -> Tensor:
    """matrix @ tile @ matrix.T for all tiles at once: (n, n, values) -> (m, m, values) with a matrix (m, n)."""
    one = torch.tensor(matrix, dtype=tiles.dtype)
    down = (one @ tiles.reshape(len(one[0]), -1)).view(len(one), len(one[0]), -1)
    return torch.matmul(one, down)
