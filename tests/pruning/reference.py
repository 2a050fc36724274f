"""A forward pass in float64, written for these tests from Darknet's sources; knows nothing of pruning."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

from utils.darknet import ACTIVATIONS, IMAGE, Layer, Network, Weights

Arrays = Mapping[str, np.ndarray]


def forward(network: Network, weights: Weights, x: np.ndarray) -> list[np.ndarray]:
    """The output of every layer, (N, C, H, W) float64 each; a head gives what it reads."""
    image = torch.from_numpy(np.asarray(x, dtype=np.float64))
    outputs: list[torch.Tensor] = []
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        inputs = [image if source == IMAGE else outputs[source] for source in layer.inputs]
        shared = getattr(layer.options, "share_index", None)
        arrays = arrays if shared is None else weights.layers[shared]
        out = _layer(layer, inputs, {k: torch.from_numpy(np.asarray(v, dtype=np.float64)) for k, v in arrays.items()})
        assert out.shape[1:] == (layer.shape.channels, layer.shape.height, layer.shape.width), layer
        outputs.append(out)
    return [out.numpy() for out in outputs]


def heads(network: Network, weights: Weights, x: np.ndarray) -> list[np.ndarray]:
    """What enters each head."""
    outputs = forward(network, weights, x)
    return [outputs[head.index] for head in network.heads]


def random_image(network: Network, seed: int = 0) -> np.ndarray:
    """Two images of noise in [0, 1]."""
    shape = network.input_shape
    return np.random.default_rng(seed).random((2, shape.channels, shape.height, shape.width))


def _act(name: str, x: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(ACTIVATIONS[name].function(x.numpy()))


def _norm(x: torch.Tensor, a: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return F.batch_norm(x, a["mean"], a["var"], a["gamma"], a["beta"], training=False, eps=1e-5)


def _layer(layer: Layer, inputs: list[torch.Tensor], a: Mapping[str, torch.Tensor]) -> torch.Tensor:
    o, x = layer.options, inputs[0]
    match layer.kind:
        case "convolutional":
            return _convolution(layer, x, a)
        case "batchnorm":
            return _norm(x, a)
        case "activation":
            return _act(o.activation, x)
        case "maxpool":
            return _max_pool(o, x)
        case "local_avgpool":
            inside = F.pad(torch.ones_like(x), _sides(o.padding))
            area = F.avg_pool2d(inside, o.size, (o.stride_y, o.stride_x))
            return F.avg_pool2d(F.pad(x, _sides(o.padding)), o.size, (o.stride_y, o.stride_x)) / area
        case "avgpool":
            return x.mean(dim=(2, 3), keepdim=True)
        case "upsample":
            return x.repeat_interleave(o.stride, 2).repeat_interleave(o.stride, 3) * o.scale
        case "reorg3d":
            rows = [x[:, :, i::o.stride, j::o.stride] for i in range(o.stride) for j in range(o.stride)]
            return torch.cat(rows, 1)
        case "reorg":
            assert not o.reverse, "the reference does not know reverse=1"
            return _reorg(x, o.stride)
        case "route":
            width = [v.shape[1] // o.groups for v in inputs]
            return torch.cat([v[:, o.group_id * w:(o.group_id + 1) * w]
                              for v, w in zip(inputs, width, strict=True)], 1)
        case "shortcut":
            return _shortcut(layer, inputs, a)
        case "scale_channels" | "sam":
            return _act(o.activation, inputs[0] * inputs[1])
        case "dropout" | "empty" | "yolo" | "region" | "gaussian_yolo":
            return x
    raise AssertionError(f"the reference does not know [{layer.kind}]")


def _reorg(x: torch.Tensor, stride: int) -> torch.Tensor:
    """blas.c reorg_cpu with forward=0, index by index, with the input's sizes as Darknet calls it."""
    n, channels, height, width = x.shape
    k, j, i = torch.meshgrid(*map(torch.arange, (channels, height, width)), indexing="ij")
    group = channels // stride**2
    offset = k // group
    column, row = i * stride + offset % stride, j * stride + offset // stride
    source = column + width * stride * (row + height * stride * (k % group))
    return x.reshape(n, -1)[:, source.reshape(-1)].reshape(n, channels * stride**2, height // stride, width // stride)


def _sides(padding: int) -> tuple[int, int, int, int]:
    before = padding // 2
    return before, padding - before, before, padding - before


def _max_pool(o, x: torch.Tensor) -> torch.Tensor:
    stride = (1, 1) if o.antialiasing else (o.stride_y, o.stride_x)
    out = F.max_pool2d(F.pad(x, _sides(o.padding), value=-torch.inf), o.size, stride)
    return _blur(o, out)


def _convolution(layer: Layer, x: torch.Tensor, a: Mapping[str, torch.Tensor]) -> torch.Tensor:
    o = layer.options
    stride = (1, 1) if o.antialiasing else (o.stride_y, o.stride_x)
    out = F.conv2d(x, a["weight"], a.get("bias"), stride, o.padding * o.dilation, o.dilation, o.groups)
    if o.batch_normalize:
        out = _norm(out, a)
    return _blur(o, _act(o.activation, out))


def _blur(o, x: torch.Tensor) -> torch.Tensor:
    if not o.antialiasing:
        return x
    line = torch.tensor([1.0, 2.0, 1.0] if o.antialiasing == 1 else [1.0, 1.0], dtype=torch.float64)
    kernel = torch.outer(line, line)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1, -1)
    return F.conv2d(x, kernel, None, (o.stride_y, o.stride_x), 1 if o.antialiasing == 1 else 0, 1, x.shape[1])


def _shortcut(layer: Layer, inputs: list[torch.Tensor], a: Mapping[str, torch.Tensor]) -> torch.Tensor:
    o = layer.options
    channels = inputs[0].shape[1]
    factors = torch.ones(len(inputs), channels, dtype=torch.float64)
    if o.weights_type != "none":
        w = a["weight"].reshape(len(inputs), -1).expand(-1, channels)
        w = torch.relu(w) if o.weights_normalization == "relu" else torch.exp(w - w.max(0).values)
        factors = w / (1e-4 + w.sum(0))
    out = torch.zeros_like(inputs[0])
    for factor, v in zip(factors, inputs, strict=True):
        width = min(channels, v.shape[1])
        out[:, :width] += factor[:width, None, None] * v[:, :width]
    return _act(o.activation, out)
