"""What the numbers that enter a detection head mean: boxes in pixels, objectness, class scores.

All three heads give the same thing: (N, boxes, 5 + classes), each row `cx cy w h` in pixels of the network's input,
then the objectness, then one score per class, such that objectness x class score is the probability that Darknet
reports. Boxes of one head are ordered by anchor, then row, then column; Darknet lists them by row, column, anchor. The
order is visible only where two boxes have exactly the same probability.

Half precision is decoded, and returned, as float32: neither float16 nor bfloat16 can hold a coordinate of 1280 px to
the pixel. float64 stays float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Anchors = Tensor | Sequence[Sequence[float]]

MAX_LOG_SIZE = 20.0  # exp(20) anchors is half a billion: no trained net goes there, and areas stay finite in float32


def decode_yolo(raw: Tensor, *, anchors: Anchors, stride: tuple[float, float], scale_x_y: float = 1.0,
                new_coords: bool = False) -> Tensor:
    """Decode a [yolo] head (AlexeyAB/darknet, yolo_layer.c: forward_yolo_layer, get_yolo_box).

    Classic heads pass x, y, objectness and classes through a sigmoid and w, h through an exponential, whose argument
    is cut at `MAX_LOG_SIZE`. With new_coords the convolution before the head has already applied its own logistic:
    nothing is squashed here and sizes are (2p)^2 anchors.

    Args:
        raw: what enters the head, (N, A, gy, gx, 5 + classes), entries x y w h objectness classes; any device.
        anchors: (A, 2) widths and heights in pixels, those of this head only (its mask applied).
        stride: pixels per cell, (x, y).
        scale_x_y: how far a centre may leave its cell; s maps [0, 1] to [-(s-1)/2, 1+(s-1)/2].
        new_coords: the head's key of that name.

    Returns:
        (N, A*gy*gx, 5 + classes), differentiable.

    Raises:
        ValueError: `raw` and `anchors` do not have the same number of anchors.
    """
    raw = _full_precision(raw)
    sizes = _anchor_sizes(raw, anchors)
    xy, wh, scores = raw[..., 0:2], raw[..., 2:4], raw[..., 4:]
    if new_coords:
        wh = (2 * wh) ** 2 * sizes
    else:
        xy, scores = xy.sigmoid(), scores.sigmoid()
        wh = _sizes(wh, sizes)
    return torch.cat((_centres(_spread(xy, scale_x_y), stride), wh, scores), dim=-1).flatten(1, 3)


def decode_gaussian_yolo(raw: Tensor, *, anchors: Anchors, stride: tuple[float, float],
                         scale_x_y: float = 1.0) -> Tensor:
    """Decode a [Gaussian_yolo] head (AlexeyAB/darknet, gaussian_yolo_layer.c; Choi et al., ICCV 2019).

    Each class score is multiplied by 1 - the mean of the four predicted uncertainties, so that objectness x class
    score is Darknet's probability; the objectness itself stays as predicted.

    Args:
        raw: what enters the head, (N, A, gy, gx, 9 + classes), entries x sx y sy w sw h sh objectness classes.
        anchors, stride, scale_x_y: as in `decode_yolo`.

    Returns:
        (N, A*gy*gx, 5 + classes), differentiable.

    Raises:
        ValueError: `raw` and `anchors` do not have the same number of anchors.
    """
    raw = _full_precision(raw)
    sizes = _anchor_sizes(raw, anchors)
    xy = raw[..., 0:4:2].sigmoid()
    certainty = 1 - raw[..., 1:8:2].sigmoid().mean(-1, keepdim=True)
    objectness, classes = raw[..., 8:9].sigmoid(), raw[..., 9:].sigmoid() * certainty
    wh = _sizes(raw[..., 4:8:2], sizes)
    return torch.cat((_centres(_spread(xy, scale_x_y), stride), wh, objectness, classes), dim=-1).flatten(1, 3)


def decode_region(raw: Tensor, *, anchors: Anchors, stride: tuple[float, float], softmax: bool = True) -> Tensor:
    """Decode a [region] head, YOLOv2 (AlexeyAB/darknet, region_layer.c: forward_region_layer, get_region_boxes).

    Darknet sets the objectness of every region box to 1 once the probabilities are made; here it is the predicted one,
    so that objectness x class score stays the probability. Select with `gate="product"`, as Darknet does.

    Args:
        raw: what enters the head, (N, A, gy, gx, 5 + classes), entries x y w h objectness classes.
        anchors: (A, 2) widths and heights in cells, not in pixels.
        stride: pixels per cell, (x, y).
        softmax: the head's key of that name; without it class scores are used as they are.

    Returns:
        (N, A*gy*gx, 5 + classes), differentiable.

    Raises:
        ValueError: `raw` and `anchors` do not have the same number of anchors.
    """
    raw = _full_precision(raw)
    sizes = _anchor_sizes(raw, anchors) * raw.new_tensor(stride)
    objectness, classes = raw[..., 4:5].sigmoid(), raw[..., 5:]
    if softmax:
        classes = classes.softmax(-1)
    wh = _sizes(raw[..., 2:4], sizes)
    return torch.cat((_centres(raw[..., 0:2].sigmoid(), stride), wh, objectness, classes), dim=-1).flatten(1, 3)


def _full_precision(raw: Tensor) -> Tensor:
    return raw.float() if raw.dtype in (torch.float16, torch.bfloat16) else raw


def _anchor_sizes(raw: Tensor, anchors: Anchors) -> Tensor:
    """(1, A, 1, 1, 2), where and as precise as `raw`."""
    sizes = torch.as_tensor(anchors, dtype=raw.dtype, device=raw.device)
    if raw.ndim != 5 or sizes.shape != (raw.shape[1], 2):
        raise ValueError(f"raw of shape (N, A, gy, gx, entries) = {tuple(raw.shape)} does not fit "
                         f"anchors of shape (A, 2) = {tuple(sizes.shape)}")
    return sizes.view(1, -1, 1, 1, 2)


def _spread(xy: Tensor, scale_x_y: float) -> Tensor:
    return xy if scale_x_y == 1 else xy * scale_x_y - 0.5 * (scale_x_y - 1)


def _sizes(logs: Tensor, anchors: Tensor) -> Tensor:
    return logs.clamp(max=MAX_LOG_SIZE).exp() * anchors


def _centres(xy: Tensor, stride: tuple[float, float]) -> Tensor:
    """Positions within a cell, (N, A, gy, gx, 2) in cells -> pixels of the network's input."""
    rows, columns = xy.shape[2:4]
    y, x = torch.meshgrid(torch.arange(rows, device=xy.device), torch.arange(columns, device=xy.device), indexing="ij")
    return (xy + torch.stack((x, y), dim=-1)) * xy.new_tensor(stride)
