"""What an engine is fed: checks, and random images for comparisons without a data set."""

from __future__ import annotations

import numpy as np

from utils.darknet import IMAGE, Network
from utils.errors import EngineError


def checked_input(x: np.ndarray, network: Network) -> np.ndarray:
    """`x` as a contiguous float32 array (N, C, H, W).

    Raises:
        EngineError: another number of axes or of channels than the network reads, or no image at all.
    """
    x = np.ascontiguousarray(x, dtype=np.float32)
    channels = network.input_shape.channels
    if x.ndim != 4 or x.shape[1] != channels or 0 in x.shape:
        raise EngineError(network.path, f"the input has the shape {x.shape}, the network reads (N, {channels}, H, W)",
                          "give a batch of images, channels first, values in [0, 1]")
    return x


def head_inputs(network: Network) -> tuple[int, ...]:
    """The layer that each head reads, in cfg order.

    Raises:
        EngineError: the network has no head, or one that reads the image itself.
    """
    if not network.heads:
        raise EngineError(network.path, "the network has no [yolo], [Gaussian_yolo] or [region] head to compare",
                          "give the cfg of a detector")
    for head in network.heads:
        if head.inputs[0] == IMAGE:
            raise EngineError(head.where, "the head reads the image itself, there is nothing to compare",
                              "give the cfg of a network with layers before its head")
    return tuple(head.inputs[0] for head in network.heads)


def random_images(count: int, channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Images of large blocks with fine noise on top: (count, channels, height, width) float32 in [0, 1)."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((count, channels, -(-height // 16), -(-width // 16)))
    blocks = coarse.repeat(16, axis=2).repeat(16, axis=3)[:, :, :height, :width]
    return (0.6 * blocks + 0.4 * rng.random((count, channels, height, width))).astype(np.float32)
