"""Each kind of Darknet section as ONNX nodes: a table of functions (builder, layer, inputs, arrays) -> tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from utils.darknet import Layer
from utils.deploy.batch_norm import folded, scale_and_shift
from utils.deploy.onnx_activations import ACTIVATIONS
from utils.deploy.onnx_builder import GraphBuilder
from utils.errors import EngineError

Arrays = Mapping[str, np.ndarray]
Write = Callable[[GraphBuilder, Layer, Sequence[str], Arrays], str]

_LOWEST = float(np.finfo(np.float32).min)  # what Darknet's maxpool sees outside the map


def _activated(b: GraphBuilder, layer: Layer, x: str) -> str:
    return ACTIVATIONS[layer.options.activation](b, x)


def _conv_size(side: int, size: int, stride: int, padding: int, dilation: int) -> int:
    return (side + 2 * padding - dilation * (size - 1) - 1) // stride + 1


def _convolutional(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    o, shape = layer.options, layer.input_shapes[0]
    weight, bias = folded(arrays)
    stride = (1, 1) if o.antialiasing else (o.stride_y, o.stride_x)
    padding = o.padding * o.dilation
    natural = tuple(_conv_size(side, o.size, step, padding, o.dilation)
                    for side, step in zip((shape.height, shape.width), stride, strict=True))
    if not o.antialiasing and natural != (layer.shape.height, layer.shape.width):
        raise EngineError(layer.where, f"a convolution of size={o.size}, dilation={o.dilation} and padding {o.padding} "
                          f"gives {natural[1]}x{natural[0]}, Darknet says {layer.shape.width}x{layer.shape.height}",
                          "use pad=1 with an odd size=")
    x = b.node("Conv", inputs[0], b.constant(weight, "weight"), b.constant(bias, "bias"), group=o.groups,
               kernel_shape=[o.size] * 2, strides=stride, dilations=[o.dilation] * 2, pads=[padding] * 4)
    return _blurred(b, layer, _activated(b, layer, x))


def _blurred(b: GraphBuilder, layer: Layer, x: str) -> str:
    """Darknet's antialiasing: a depthwise blur that takes over the stride."""
    o, channels = layer.options, layer.shape.channels
    if not o.antialiasing:
        return x
    kernel: np.ndarray
    if o.antialiasing == 2:
        kernel, padding = np.full((2, 2), 1 / 4), 0
    else:
        kernel, padding = np.outer([1, 2, 1], [1, 2, 1]) / 16, 1
    weight = np.broadcast_to(kernel.astype(np.float32), (channels, 1, *kernel.shape))
    return b.node("Conv", x, b.constant(weight, "blur"), group=channels, kernel_shape=list(kernel.shape),
                  strides=[o.stride_y, o.stride_x], pads=[padding] * 4)


def _connected(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    weight, bias = folded(arrays)
    flat = b.reshape(inputs[0], (layer.input_shapes[0].size,))
    x = b.node("Gemm", flat, b.constant(weight, "weight"), b.constant(bias, "bias"), transB=1)
    return _activated(b, layer, b.reshape(x, (layer.shape.channels, 1, 1)))


def _batchnorm(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    scale, shift = (values.astype(np.float32).reshape(1, -1, 1, 1) for values in scale_and_shift(arrays))
    return b.node("Add", b.node("Mul", inputs[0], b.constant(scale, "scale")), b.constant(shift, "shift"))


def _activation(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    return b.node("Identity", _activated(b, layer, inputs[0]))


def _implicit(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    batch = b.node("Gather", b.node("Shape", "images"), b.integers((0,)))
    target = b.node("Concat", batch, b.integers(arrays["weight"].shape), b.integers((1,)), axis=0)
    return b.node("Expand", b.constant(arrays["weight"][None, :, :, None], "implicit"), target)


def _window(layer: Layer) -> dict[str, list[int]]:
    """Kernel and strides of a pooling layer, and its total padding split as Darknet does: the odd pixel goes behind."""
    o = layer.options
    before, after = o.padding // 2, o.padding - o.padding // 2
    stride = [1, 1] if getattr(o, "antialiasing", 0) else [o.stride_y, o.stride_x]
    return {"kernel_shape": [o.size] * 2, "strides": stride, "pads": [before, before, after, after]}


def _maxpool(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    o, shape = layer.options, layer.input_shapes[0]
    if o.maxpool_depth:
        grouped = b.reshape(inputs[0], (shape.channels // o.out_channels, o.out_channels, shape.height, shape.width))
        return b.node("ReduceMax", grouped, axes=[1], keepdims=0)
    window, x = _window(layer), inputs[0]
    if max(window["pads"]) >= o.size:  # ONNX Runtime wants every window to touch the map
        pads = window.pop("pads")
        x = b.node("Pad", x, b.integers((0, 0, *pads[:2], 0, 0, *pads[2:])), b.scalar(_LOWEST))
    return _blurred(b, layer, b.node("MaxPool", x, **window))


def _local_avgpool(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    return b.node("AveragePool", inputs[0], count_include_pad=0, **_window(layer))


def _avgpool(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    return b.node("GlobalAveragePool", inputs[0])


def _channels(b: GraphBuilder, x: str, start: int, stop: int) -> str:
    return b.node("Slice", x, b.integers((start,)), b.integers((stop,)), b.integers((1,)))


def _route(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    o, parts = layer.options, list(inputs)
    if o.groups > 1:
        widths = [shape.channels // o.groups for shape in layer.input_shapes]
        parts = [_channels(b, x, o.group_id * width, (o.group_id + 1) * width)
                 for x, width in zip(inputs, widths, strict=True)]
    return b.node("Concat", *parts, axis=1) if len(parts) > 1 else b.node("Identity", parts[0])


def _shortcut(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    width = layer.shape.channels
    factors = _shortcut_factors(layer, arrays)
    total = ""
    for number, (x, shape) in enumerate(zip(inputs, layer.input_shapes, strict=True)):
        if shape.channels > width:
            x = _channels(b, x, 0, width)
        elif shape.channels < width:
            x = b.node("Pad", x, b.integers((0, 0, 0, 0, 0, width - shape.channels, 0, 0)))
        if factors is not None:
            x = b.node("Mul", x, b.constant(factors[number].reshape(1, -1, 1, 1), "factor"))
        total = b.node("Add", total, x) if total else x
    return _activated(b, layer, total)


def _shortcut_factors(layer: Layer, arrays: Arrays) -> np.ndarray | None:
    """What each input is multiplied with: (inputs, 1 or channels) float32 (blas.c, shortcut_multilayer_cpu)."""
    o = layer.options
    if o.weights_type == "none":
        return None
    raw = arrays["weight"].astype(np.float64).reshape(len(layer.inputs), -1)
    positive = np.exp(raw - raw.max(0)) if o.weights_normalization == "softmax" else np.maximum(raw, 0)
    return (positive / (1e-4 + positive.sum(0))).astype(np.float32)


def _scale_channels(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    return _activated(b, layer, b.node("Mul", inputs[1], inputs[0]))


def _upsample(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    o, x = layer.options, inputs[0]
    if o.stride > 1:
        scales = b.constant(np.array([1, 1, o.stride, o.stride], np.float32), "scales")
        x = b.node("Resize", x, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric",
                   nearest_mode="floor")
    return b.node("Identity", b.affine(x, o.scale))


def _reorg(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    """YOLOv2's permutation: the flat memory read as if the map were stride times larger (blas.c, reorg_cpu)."""
    s, reverse, shape = layer.options.stride, layer.options.reverse, layer.input_shapes[0]
    if reverse:
        return b.node("DepthToSpace", inputs[0], blocksize=s, mode="DCR")
    if shape.channels % (s * s):
        raise EngineError(layer.where, f"[reorg] stride={s} does not divide its {shape.channels} channels by {s * s}",
                          "Darknet reads past its input here; use another width")
    parts = b.reshape(inputs[0], (shape.channels // (s * s), shape.height, s, shape.width, s))
    moved = b.node("Transpose", parts, perm=[0, 3, 5, 1, 2, 4])
    return b.reshape(moved, (layer.shape.channels, layer.shape.height, layer.shape.width))


def _reorg3d(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    return b.node("SpaceToDepth", inputs[0], blocksize=layer.options.stride)


def _softmax(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    o, shape = layer.options, layer.shape
    rows = b.reshape(inputs[0], (o.groups, shape.size // o.groups))
    y = b.node("Softmax", b.affine(rows, 1 / o.temperature), axis=-1)
    return b.reshape(y, (shape.channels, shape.height, shape.width))


def _nothing(b: GraphBuilder, layer: Layer, inputs: Sequence[str], arrays: Arrays) -> str:
    return b.node("Identity", inputs[0])


LAYERS: Mapping[str, Write] = {
    "convolutional": _convolutional,
    "connected": _connected,
    "batchnorm": _batchnorm,
    "activation": _activation,
    "implicit": _implicit,
    "maxpool": _maxpool,
    "local_avgpool": _local_avgpool,
    "avgpool": _avgpool,
    "route": _route,
    "shortcut": _shortcut,
    "scale_channels": _scale_channels,
    "sam": _scale_channels,
    "upsample": _upsample,
    "reorg": _reorg,
    "reorg3d": _reorg3d,
    "dropout": _nothing,
    "empty": _nothing,
    "softmax": _softmax,
}
