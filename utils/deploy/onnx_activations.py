"""Darknet's activations as ONNX nodes (opset 13 and later); the same table of names as utils/darknet/activations.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from utils.deploy.onnx_builder import GraphBuilder

Write = Callable[[GraphBuilder, str], str]


def _scaled_logistic(b: GraphBuilder, x: str) -> str:
    return b.affine(b.node("Sigmoid", x), 2.0, -1.0)


def _swish(b: GraphBuilder, x: str) -> str:
    return b.node("Mul", x, b.node("Sigmoid", x))


def _mish(b: GraphBuilder, x: str) -> str:
    return b.node("Mul", x, b.node("Tanh", b.node("Softplus", x)))


def _hard_mish(b: GraphBuilder, x: str) -> str:
    parabola = b.node("Mul", x, b.affine(b.node("Max", x, b.scalar(-2.0)), 0.5, 1.0))  # 0 at and below -2
    return b.node("Where", b.node("Greater", x, b.scalar(0.0)), x, parabola)


def _gelu(b: GraphBuilder, x: str) -> str:
    cube = b.node("Mul", x, b.node("Mul", x, x))
    inner = b.node("Add", b.affine(x, 0.797885), b.affine(cube, 0.035677))
    return b.node("Mul", b.affine(x, 0.5), b.affine(b.node("Tanh", inner), 1.0, 1.0))


def _ramp(b: GraphBuilder, x: str) -> str:
    return b.node("Add", b.node("Relu", x), b.affine(x, 0.1))


def _plse(b: GraphBuilder, x: str) -> str:
    low, high = b.node("Less", x, b.scalar(-4.0)), b.node("Greater", x, b.scalar(4.0))
    rest = b.node("Where", high, b.affine(x, 0.01, 0.96), b.affine(x, 0.125, 0.5))
    return b.node("Where", low, b.affine(x, 0.01, 0.04), rest)


def _stair(b: GraphBuilder, x: str) -> str:
    whole = b.node("Floor", x)
    half = b.node("Floor", b.affine(x, 0.5))
    odd = b.node("Sub", whole, b.affine(half, 2.0))
    return b.node("Add", half, b.node("Mul", odd, b.node("Sub", x, whole)))


def _hardtan(b: GraphBuilder, x: str) -> str:
    return b.node("Clip", x, b.scalar(-1.0), b.scalar(1.0))


def _lhtan(b: GraphBuilder, x: str) -> str:
    inside = b.node("Clip", x, b.scalar(0.0), b.scalar(1.0))
    return b.node("Add", inside, b.affine(b.node("Sub", x, inside), 0.001))


def _share_of_channels(b: GraphBuilder, positive: str) -> str:
    total = b.node("ReduceSum", positive, b.integers((1,)), keepdims=1)
    return b.node("Div", positive, b.affine(total, 1.0, 1e-4))


def _below_maximum(b: GraphBuilder, x: str) -> str:
    return b.node("Sub", x, b.node("ReduceMax", x, axes=[1], keepdims=1))


ACTIVATIONS: Mapping[str, Write] = {
    "linear": lambda b, x: x,
    "logistic": lambda b, x: b.node("Sigmoid", x),
    "loggy": _scaled_logistic,
    "relu": lambda b, x: b.node("Relu", x),
    "relu6": lambda b, x: b.node("Clip", x, b.scalar(0.0), b.scalar(6.0)),
    "leaky": lambda b, x: b.node("LeakyRelu", x, alpha=0.1),
    "revleaky": lambda b, x: b.node("LeakyRelu", x, alpha=0.1),
    "relie": lambda b, x: b.node("LeakyRelu", x, alpha=0.01),
    "ramp": _ramp,
    "elu": lambda b, x: b.node("Elu", x, alpha=1.0),
    "selu": lambda b, x: b.node("Selu", x, alpha=1.6732, gamma=1.0507),
    "gelu": _gelu,
    "tanh": lambda b, x: b.node("Tanh", x),
    "plse": _plse,
    "stair": _stair,
    "hardtan": _hardtan,
    "lhtan": _lhtan,
    "swish": _swish,
    "mish": _mish,
    "hard_mish": _hard_mish,
    "normalize_channels": lambda b, x: _share_of_channels(b, b.node("Relu", x)),
    "normalize_channels_softmax": lambda b, x: _share_of_channels(b, b.node("Exp", x)),
    "normalize_channels_softmax_maxval": lambda b, x: _share_of_channels(b, b.node("Exp", _below_maximum(b, x))),
}
