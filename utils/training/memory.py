"""How much memory a training step takes, before it is taken."""

from __future__ import annotations

import math
import sys

import torch

from utils.darknet import Network
from utils.datasets import free_memory
from utils.errors import OptionError

_BYTES = 4
_COPIES_OF_MAPS = 3.5   # convolution, batch norm and activation of a layer keep their maps for backward; gradients
_COPIES_OF_WEIGHTS = 5  # weight, gradient, momentum, average, and a copy at work


def step_bytes(network: Network, batch_size: int) -> int:
    """An estimate of what one training step of a batch needs, in bytes, from the sizes of maps and weights alone."""
    maps = sum(layer.shape.size for layer in network.layers if not layer.is_head)
    return int(_BYTES * (_COPIES_OF_MAPS * maps * batch_size + _COPIES_OF_WEIGHTS * network.parameters))


def free_bytes(device: torch.device) -> int | None:
    """Memory that is free on a device, in bytes; None where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory()


def check_batch_fits(network: Network, batch_size: int, device: torch.device, free: int | None = None) -> None:
    """Refuse a batch that plainly cannot be computed, before the machine starts to swap or the system kills us.

    Raises:
        OptionError: the estimate is above the free memory; says which batch size would fit, and with which --accumulate
            the result stays the same.
    """
    free = free_bytes(device) if free is None else free
    if free is None or step_bytes(network, batch_size) <= free:
        return
    least = step_bytes(network, 0)
    each = step_bytes(network, 1) - least
    fits = max(0, (free - least) // each)
    size = 1 << (fits.bit_length() - 1) if fits else 0
    remedy = (f"--batch-size {size} --accumulate {-(-batch_size // size)} sees as many images per step" if size
              else "lower --img_size, or take a smaller network")
    raise OptionError("--batch-size", f"{batch_size} images of {network.net.width}x{network.net.height} need about "
                      f"{step_bytes(network, batch_size) / 1e9:.1f} GB, {free / 1e9:.1f} GB are free", remedy)


def peak_memory_mb(device: torch.device) -> float:
    """The most memory used so far: of the device's tensors on CUDA, else of this process; NaN where nobody says. Megabytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource
    except ImportError:  # Windows has none
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
