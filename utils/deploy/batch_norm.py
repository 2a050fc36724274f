"""What a batch norm's epsilon does to a pair, and how to make engines with other epsilons compute the same.

    AlexeyAB's and hank-ai's Darknet, and we    (x - mean) / sqrt(var + 1e-5)
    OpenCV                                      (x - mean) / sqrt(var + 1e-6)
    pjreddie's Darknet (Debian's package)       (x - mean) / (sqrt(var) + 1e-6)

The difference is invisible while variances are near 1 and grows to 1e-2 of a head's range where they are small, as
they are in pruned and in depthwise networks. A copy of the weights with other variances removes it exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from utils.darknet import Weights

EPSILON = 1e-5  # AlexeyAB's, blas.c normalize_cpu; ours
OPENCV_EPSILON = 1e-6  # darknet_io.cpp, setBatchNorm
PJREDDIE_EPSILON = 1e-6  # blas.c normalize_cpu of 2018, added to the root

Array = np.ndarray


def variances_for_opencv(var: Array) -> Array:
    """var' with sqrt(var' + 1e-6) = sqrt(var + 1e-5); float64."""
    return var.astype(np.float64) + (EPSILON - OPENCV_EPSILON)


def variances_for_pjreddie(var: Array) -> Array:
    """var' with sqrt(var') + 1e-6 = sqrt(var + 1e-5); float64."""
    return (np.sqrt(var.astype(np.float64) + EPSILON) - PJREDDIE_EPSILON) ** 2


def with_variances(weights: Weights, change: Callable[[Array], Array]) -> Weights:
    """A copy of the weights in which `change` was applied to every running variance."""
    layers = tuple(
        {**arrays, "var": change(arrays["var"]).astype(np.float32)} if "var" in arrays else arrays
        for arrays in weights.layers
    )
    return replace(weights, layers=layers)


def folded(arrays: Mapping[str, Array], epsilon: float = EPSILON) -> tuple[Array, Array]:
    """A convolution's or connected layer's weight and bias with its batch norm multiplied in.

    Computed in float64, as Darknet's fuse_conv_batchnorm does.

    Args:
        arrays: `weight` (filters, ...) and either `bias`, or `beta gamma mean var`, each (filters,). Without gamma
            (dontloadscales=1) Darknet keeps what it starts from: gamma 1, mean 0, var 0.

    Returns:
        (weight, bias), float32, of the shapes (filters, ...) and (filters,).
    """
    if "bias" in arrays:
        return arrays["weight"], arrays["bias"]
    factor, bias = scale_and_shift(arrays, epsilon)
    weight = arrays["weight"].astype(np.float64)
    weight = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
    return weight.astype(np.float32), bias.astype(np.float32)


def scale_and_shift(arrays: Mapping[str, Array], epsilon: float = EPSILON) -> tuple[Array, Array]:
    """A batch norm as y = scale * x + shift; two float64 arrays (channels,)."""
    beta = arrays["beta"].astype(np.float64)
    if "gamma" not in arrays:
        return np.full_like(beta, 1 / np.sqrt(epsilon)), beta
    gamma, mean, var = (arrays[name].astype(np.float64) for name in ("gamma", "mean", "var"))
    scale = gamma / np.sqrt(var + epsilon)
    return scale, beta - mean * scale
