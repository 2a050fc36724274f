"""Darknet's activation functions in numpy, under the names that a cfg uses (activations.h, activations.c)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Activation:
    """One activation: `function` maps an array elementwise, in the array's own precision.

    over_channels: the value of a pixel depends on all its channels; `function` then expects channels on axis 0.
    """

    name: str
    function: Callable[[Array], Array]
    over_channels: bool = False


def _logistic(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x)).astype(x.dtype)


def _softplus(x: Array) -> Array:
    return np.where(x > 20, x, np.where(x < -20, np.exp(np.minimum(x, 0)), np.log1p(np.exp(np.minimum(x, 20)))))


def _gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3))


def _plse(x: Array) -> Array:
    return np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5))


def _stair(x: Array) -> Array:
    n = np.floor(x)
    return np.where(n % 2 == 0, np.floor(x / 2), (x - n) + np.floor(x / 2))


def _lhtan(x: Array) -> Array:
    return np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x))


def _hard_mish(x: Array) -> Array:
    return np.where(x > 0, x, np.where(x > -2, x * x / 2 + x, 0.0))


def _expm1(x: Array) -> Array:
    return np.expm1(np.minimum(x, 0))


def _normalize_channels(x: Array) -> Array:
    positive = np.maximum(x, 0)
    return positive / (1e-4 + positive.sum(0, keepdims=True))


def _normalize_softmax(x: Array) -> Array:
    powers = np.exp(x)
    return powers / (1e-4 + powers.sum(0, keepdims=True))


def _normalize_softmax_maxval(x: Array) -> Array:
    powers = np.exp(x - x.max(0, keepdims=True))
    return powers / (1e-4 + powers.sum(0, keepdims=True))


_ELEMENTWISE: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "logistic": _logistic,
    "loggy": lambda x: 2 * _logistic(x) - 1,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "revleaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "ramp": lambda x: x * (x > 0) + 0.1 * x,
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x >= 0, x, _expm1(x)),
    "selu": lambda x: np.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * _expm1(x)),
    "gelu": _gelu,
    "tanh": np.tanh,
    "plse": _plse,
    "stair": _stair,
    "hardtan": lambda x: np.clip(x, -1, 1),
    "lhtan": _lhtan,
    "swish": lambda x: x * _logistic(x),
    "mish": lambda x: x * np.tanh(_softplus(x)),
    "hard_mish": _hard_mish,
}

_OVER_CHANNELS: Mapping[str, Callable[[Array], Array]] = {
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_softmax,
    "normalize_channels_softmax_maxval": _normalize_softmax_maxval,
}

ACTIVATIONS: Mapping[str, Activation] = {
    **{name: Activation(name, function) for name, function in _ELEMENTWISE.items()},
    **{name: Activation(name, function, over_channels=True) for name, function in _OVER_CHANNELS.items()},
}
