"""What removed channels emit: a constant per channel, carried from layer to layer in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from utils.darknet import ACTIVATIONS, Fixed, Layer, Slice

BN_EPSILON = 1e-5  # inside the root: Darknet's batchnorm_layer.c and network.c fuse_conv_batchnorm

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Constant:
    """The output of a layer's removed channels.

    values: float64, shape (C,); the channel's value, 0 where the channel is kept.
    exact: bool, shape (C,); whether every pixel has the value, or only those away from the border.
    """

    values: np.ndarray
    exact: np.ndarray

    @classmethod
    def zero(cls, channels: int) -> Constant:
        """Nothing is removed."""
        return cls(np.zeros(channels), np.ones(channels, dtype=bool))

    def only(self, removed: np.ndarray) -> Constant:
        """The same for removed channels, nothing for the others."""
        return Constant(np.where(removed, self.values, 0.0), self.exact | ~removed)


def pads(layer: Layer) -> bool:
    """Whether a convolution's window meets zeros outside the map."""
    return layer.options.padding > 0


def fresh_constant(layer: Layer, arrays: Arrays) -> Constant:
    """What a convolution emits where its gamma is 0 (or its kernel, without batch norm): act(beta)."""
    shift = arrays["beta" if layer.options.batch_normalize else "bias"].astype(np.float64)
    return _blurred(layer, activated(layer.options.activation, shift), np.ones(len(shift), dtype=bool))


def depthwise_constant(layer: Layer, x: Constant, arrays: Arrays) -> Constant:
    """What a depthwise convolution makes of constants; its own batch norm stays in force."""
    taps = arrays["weight"].sum(axis=(1, 2, 3), dtype=np.float64)
    times = len(taps) // len(x.values)
    values = np.repeat(x.values, times)
    exact = np.repeat(x.exact & ((x.values == 0) | (not pads(layer))), times)
    if layer.options.batch_normalize:
        values = normalized(taps * values, arrays)
    else:
        values = taps * values + arrays["bias"].astype(np.float64)
    return _blurred(layer, activated(layer.options.activation, values), exact)


def passed_on(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    """What a layer other than a convolution makes of constants; kept channels come out as anything."""
    if isinstance(layer.rule, Fixed):
        return Constant.zero(layer.shape.channels)
    return PASSED_ON[layer.kind](layer, inputs, arrays)


def activated(name: str, values: np.ndarray) -> np.ndarray:
    """An activation of Darknet's, elementwise."""
    return ACTIVATIONS[name].function(values)


def normalized(values: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Batch norm at inference, in float64."""
    gamma, beta, mean, var = (arrays[name].astype(np.float64) for name in ("gamma", "beta", "mean", "var"))
    return gamma * (values - mean) / np.sqrt(var + BN_EPSILON) + beta


def shortcut_factors(layer: Layer, arrays: Arrays) -> np.ndarray:
    """What a shortcut multiplies its inputs by, shape (inputs, 1) or (inputs, C); shortcut_multilayer_cpu."""
    if layer.options.weights_type == "none":
        return np.ones((len(layer.inputs), 1))
    weight = arrays["weight"].astype(np.float64).reshape(len(layer.inputs), -1)
    if layer.options.weights_normalization == "softmax":
        weight = np.exp(weight - weight.max(axis=0))
    else:
        weight = np.maximum(weight, 0)
    return weight / (weight.sum(axis=0) + 1e-4)


def _blurred(layer: Layer, values: np.ndarray, exact: np.ndarray) -> Constant:
    """Behind the blur of antialiasing, which pads with zeros in its 3x3 form."""
    if layer.options.antialiasing in (0, 2):
        return Constant(values, exact)
    return Constant(values, exact & (values == 0))


def _same(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    return inputs[0]


def _maxpool(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    return _blurred(layer, inputs[0].values, inputs[0].exact)


def _activation(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    return Constant(activated(layer.options.activation, inputs[0].values), inputs[0].exact)


def _batchnorm(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    return Constant(normalized(inputs[0].values, arrays), inputs[0].exact)


def _upsample(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    return Constant(inputs[0].values * layer.options.scale, inputs[0].exact)


def _reorg3d(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    repeats = layer.options.stride ** 2
    return Constant(np.tile(inputs[0].values, repeats), np.tile(inputs[0].exact, repeats))


def _route(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    groups, block = (layer.rule.groups, layer.rule.group_id) if isinstance(layer.rule, Slice) else (1, 0)
    return Constant(np.concatenate([x.values.reshape(groups, -1)[block] for x in inputs]),
                    np.concatenate([x.exact.reshape(groups, -1)[block] for x in inputs]))


def _shortcut(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    factors = np.broadcast_to(shortcut_factors(layer, arrays), (len(inputs), layer.shape.channels))
    values, exact = factors[0] * inputs[0].values, inputs[0].exact.copy()
    for factor, x in zip(factors[1:], inputs[1:], strict=True):
        width = min(len(values), len(x.values))
        values[:width] += factor[:width] * x.values[:width]
        exact[:width] &= x.exact[:width]
    return Constant(activated(layer.options.activation, values), exact)


def _product(layer: Layer, inputs: Sequence[Constant], arrays: Arrays) -> Constant:
    a, b = inputs
    exact = (a.exact & b.exact) | (a.exact & (a.values == 0)) | (b.exact & (b.values == 0))
    return Constant(activated(layer.options.activation, a.values * b.values), exact)


PassOn = Callable[[Layer, Sequence[Constant], Arrays], Constant]

PASSED_ON: Mapping[str, PassOn] = {
    "maxpool": _maxpool,
    "local_avgpool": _same,  # a window's mean is over the pixels inside the map
    "avgpool": _same,
    "dropout": _same,
    "empty": _same,
    "activation": _activation,
    "batchnorm": _batchnorm,
    "upsample": _upsample,
    "reorg3d": _reorg3d,
    "route": _route,
    "shortcut": _shortcut,
    "scale_channels": _product,
    "sam": _product,
}
