"""3x3 convolutions by NNPACK's Winograd transform, on CPUs where that beats oneDNN.

oneDNN multiplies every tap. On CPUs with AVX2 and without AVX-512 NNPACK, which torch brings along, takes about half
the time for maps that are not small; see benchmarks/forward.py. The results differ from oneDNN's by some 1e-6 of the
range of the map (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SIDE = 24      # pixels; below, the 8x8 tiles are mostly border
LEAST_CHANNELS = 16  # below, the transforms cost more than they save


def winograd_pays() -> bool:
    """Whether this CPU is one on which NNPACK is faster; asking also starts NNPACK, which refuses to work before."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2" and torch._nnpack_available()


def winograd_suits(x: Tensor) -> bool:
    """Whether a 3x3 convolution of stride 1 and padding 1 of this input (N, C, H, W) should go to NNPACK."""
    return (x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad
            and min(x.shape[2:]) >= LEAST_SIDE and x.shape[1] >= LEAST_CHANNELS)


def winograd_convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The convolution of (N, C, H, W) with (O, C, 3, 3), stride 1, padding 1, plus bias (O,) -> (N, O, H, W).

    Image by image: NNPACK is at its best with one.
    """
    images = [torch._nnpack_spatial_convolution(image.contiguous(), weight, bias, [1, 1], [1, 1])
              for image in x.split(1)]
    return images[0] if len(images) == 1 else torch.cat(images)
