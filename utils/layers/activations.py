"""Darknet's activation functions in torch, and which of them AlexeyAB's CPU build leaves out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Function = Callable[[Tensor], Tensor]


def _logistic(x: Tensor) -> Tensor:
    """In mixed precision in float32: near 0 and 1 a probability is too coarse in half, and its logarithm's slope too steep."""
    return torch.sigmoid(x.float() if torch.is_autocast_enabled(x.device.type) else x)


def _logistic_in_place(x: Tensor) -> Tensor:
    return _logistic(x) if torch.is_autocast_enabled(x.device.type) else torch.sigmoid_(x)


def _selu(x: Tensor) -> Tensor:
    return 1.0507 * F.elu(x, alpha=1.6732)  # Darknet's rounded constants; torch.selu has more digits


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.797885 * x + 0.035677 * x**3))


def _plse(x: Tensor) -> Tensor:
    return torch.where(x < -4, 0.01 * (x + 4), torch.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5))


def _stair(x: Tensor) -> Tensor:
    n, half = torch.floor(x), torch.floor(x / 2)
    return torch.where(n % 2 == 0, half, (x - n) + half)


def _lhtan(x: Tensor) -> Tensor:
    return torch.where(x < 0, 0.001 * x, torch.where(x > 1, 0.001 * (x - 1) + 1, x))


def _hard_mish(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.where(x > -2, x * x / 2 + x, torch.zeros_like(x)))


def _normalize_channels(x: Tensor) -> Tensor:
    positive = F.relu(x)
    return positive / (1e-4 + positive.sum(1, keepdim=True))


def _normalize_softmax(x: Tensor) -> Tensor:
    powers = torch.exp(x)
    return powers / (1e-4 + powers.sum(1, keepdim=True))


def _normalize_softmax_maxval(x: Tensor) -> Tensor:
    powers = torch.exp(x - x.amax(1, keepdim=True))
    return powers / (1e-4 + powers.sum(1, keepdim=True))


def _mish_in_place(x: Tensor) -> Tensor:
    """x tanh(log(1 + e)) = x n / (n + 2) with e = exp(x), n = e (e + 2): one exponential, a third of torch's CPU time."""
    if x.dtype != torch.float32 or x.device.type != "cpu":
        return F.mish(x, inplace=True)
    e = x.clamp(max=20).exp_()  # beyond 20 the factor is 1 in float32, and e * e stays finite
    n = (e + 2).mul_(e)
    return x.mul_(n.div_(torch.add(n, 2, out=e)))


ACTIVATIONS: Mapping[str, Function] = {
    "linear": lambda x: x,
    "logistic": _logistic,
    "loggy": lambda x: 2 * torch.sigmoid(x) - 1,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky": lambda x: F.leaky_relu(x, 0.1),
    "revleaky": lambda x: F.leaky_relu(x, 0.1),
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "relie": lambda x: F.leaky_relu(x, 0.01),
    "elu": F.elu,
    "selu": _selu,
    "gelu": _gelu,
    "tanh": torch.tanh,
    "plse": _plse,
    "stair": _stair,
    "hardtan": F.hardtanh,
    "lhtan": _lhtan,
    "swish": F.silu,
    "mish": F.mish,
    "hard_mish": _hard_mish,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_softmax,
    "normalize_channels_softmax_maxval": _normalize_softmax_maxval,
}

# Autograd reconstructs these from their own output, so overwriting the input costs training nothing and saves a map.
_IN_PLACE_ALWAYS: Mapping[str, Function] = {
    "logistic": _logistic_in_place,
    "relu": F.relu_,
    "leaky": lambda x: F.leaky_relu_(x, 0.1),
    "revleaky": lambda x: F.leaky_relu_(x, 0.1),
    "relie": lambda x: F.leaky_relu_(x, 0.01),
    "tanh": torch.tanh_,
}
_IN_PLACE_WITHOUT_GRADIENT: Mapping[str, Function] = {
    **_IN_PLACE_ALWAYS,
    "relu6": lambda x: F.relu6(x, inplace=True),
    "elu": F.elu_,
    "hardtan": F.hardtanh_,
    "swish": lambda x: F.silu(x, inplace=True),
    "mish": _mish_in_place,
}

# `activate()` in activations.c knows none of these and returns 0. Some layers call other functions for some of them.
_NOT_IN_ACTIVATE = frozenset({
    "relu6", "swish", "mish", "hard_mish",
    "normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval",
})
_MISSING_ON_CPU: Mapping[str, frozenset[str]] = {
    "convolutional": frozenset({"relu6"}),
    "shortcut": _NOT_IN_ACTIVATE - {"swish", "mish"},
}


def missing_on_cpu(kind: str) -> frozenset[str]:
    """The activations for which AlexeyAB's CPU build answers 0 in sections of this kind (his GPU build has them)."""
    return _MISSING_ON_CPU.get(kind, _NOT_IN_ACTIVATE)


class Activate(nn.Module):
    """One activation by its cfg name, elementwise or over the channels of each pixel.

    Args:
        name: key of `ACTIVATIONS`.
        kind: kind of the section that uses it; matters only with `darknet_cpu`.
        darknet_cpu: give zeros where AlexeyAB's CPU build does, instead of the formula.

    The input, (N, C, H, W), may be overwritten: pass a map that nobody else reads, or `keep_input=True`.
    """

    def __init__(self, name: str, kind: str = "convolutional", *, darknet_cpu: bool = False,
                 keep_input: bool = False) -> None:
        super().__init__()
        self.name = name
        self.keep_input = keep_input
        self.zero = darknet_cpu and name in missing_on_cpu(kind)

    def forward(self, x: Tensor) -> Tensor:
        if self.zero:
            return torch.zeros_like(x)
        function = ACTIVATIONS[self.name]
        if not self.keep_input:
            table = _IN_PLACE_ALWAYS if torch.is_grad_enabled() and x.requires_grad else _IN_PLACE_WITHOUT_GRADIENT
            function = table.get(self.name, function)
        return function(x)

    def extra_repr(self) -> str:
        return self.name + (" (0 on Darknet's CPU)" if self.zero else "")
