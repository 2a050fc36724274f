"""What removed channels emit: a constant per channel, carried from layer to layer in float64.

A removed residual block leaves constants, too: its last convolution added act(beta) to channels that stay. So a constant
is what a layer's output will lack once the plan is carried out: all of a removed channel, a summand of one that stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from utils.darknet import ACTIVATIONS, Fixed, Layer, Slice

BN_EPSILON = 1e-5  # inside the root: Darknet's batchnorm_layer.c and network.c fuse_conv_batchnorm

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Constant:
    """What a layer's output lacks.

    values: float64, shape (C,); the value of a removed channel, what is missing from one that stays (mostly 0).
    exact: bool, shape (C,); whether every pixel lacks this value, or only those away from the border.
    """

    values: np.ndarray
    exact: np.ndarray

    @classmethod
    def zero(cls, channels: int) -> Constant:
        """Nothing is removed."""
        return cls(np.zeros(channels), np.ones(channels, dtype=bool))

    def only(self, channels: np.ndarray) -> Constant:
        """The same for these channels, nothing for the others."""
        return Constant(np.where(channels, self.values, 0.0), self.exact | ~channels)

    def with_values(self, values: np.ndarray, channels: np.ndarray) -> Constant:
        """Other values for these channels."""
        return Constant(np.where(channels, values, self.values), self.exact)


def pads(layer: Layer) -> bool:
    """Whether a convolution's window meets zeros outside the map."""
    return layer.options.padding > 0


def emitted(layer: Layer, shift: np.ndarray) -> Constant:
    """What a convolution emits where its kernel gives `shift` at every pixel; float64, shape (filters,)."""
    return _blurred(layer, activated(layer.options.activation, shift), np.ones(len(shift), dtype=bool))


def own_shift(layer: Layer, arrays: Arrays) -> np.ndarray:
    """What comes before the activation where gamma is 0 (or the kernel, without batch norm), float64, (filters,)."""
    return arrays["beta" if layer.options.batch_normalize else "bias"].astype(np.float64)


def depthwise_shift(layer: Layer, x: Constant, arrays: Arrays) -> np.ndarray:
    """What comes before the activation of a depthwise convolution that reads constants, away from the border."""
    values = depthwise_taps(x, arrays)
    return normalized(values, arrays) if layer.options.batch_normalize else values + arrays["bias"].astype(np.float64)


def depthwise_taps(x: Constant, arrays: Arrays) -> np.ndarray:
    """What a depthwise kernel makes of constants inside the map, before batch norm or bias; float64, (filters,)."""
    taps = arrays["weight"].sum(axis=(1, 2, 3), dtype=np.float64)
    return taps * np.repeat(x.values, len(taps) // len(x.values))


def passed_on(layer: Layer, inputs: Sequence[Constant], arrays: Arrays, removed: np.ndarray) -> Constant:
    """What a layer other than a convolution makes of constants.

    removed: bool, shape (C,): which channels of its output go. What others lack passes through layers that add and copy,
    [batchnorm] included. A layer that bends it is not exact any more, and nothing is taken to be missing behind it.
    """
    if isinstance(layer.rule, Fixed):
        lacks = any(x.values.any() for x in inputs)
        return Constant(np.zeros(layer.shape.channels), np.full(layer.shape.channels, not lacks))
    pass_on = PASSED_ON[layer.kind]
    out = pass_on(layer, inputs, arrays)
    if layer.kind == "batchnorm":
        zero = pass_on(layer, [Constant.zero(len(out.values))], arrays)
        return out.with_values(out.values - zero.values, ~removed)
    if layer.kind in _BENDING or (layer.kind == "shortcut" and layer.options.activation != "linear"):
        return Constant(np.where(removed, out.values, 0.0), np.where(removed, out.exact, ~_touched(layer, inputs)))
    return out


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
    weight: np.ndarray = arrays["weight"].astype(np.float64).reshape(len(layer.inputs), -1)
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


def _touched(layer: Layer, inputs: Sequence[Constant]) -> np.ndarray:
    """Which output channels read a constant other than 0; bool, shape (C,)."""
    touched = np.zeros(layer.shape.channels, dtype=bool)
    for x in inputs:
        width = min(len(touched), len(x.values))
        touched[:width] |= x.values[:width] != 0
    return touched


_BENDING = frozenset({"activation", "scale_channels", "sam"})

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
