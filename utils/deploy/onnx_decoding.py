"""What detection heads do, as ONNX nodes: boxes in pixels, objectness, class scores; as utils/detection/decode.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from utils.darknet import Layer, Shape
from utils.deploy.onnx_builder import GraphBuilder

Decode = Callable[[GraphBuilder, Layer, str], tuple[str, str, str]]

_MAX_LOG_SIZE = 20.0  # where utils/detection/decode.py cuts, too
_LAST = 3  # the axis of a box's numbers


def decoded_head(b: GraphBuilder, head: Layer, x: str, image: Shape) -> str:
    """The boxes of one head: (N, A*gy*gx, 5 + classes), rows `cx cy w h objectness classes`, cx to h in pixels.

    Args:
        b: the graph.
        head: a [yolo], [Gaussian_yolo] or [region].
        x: what it reads, (N, A*E, gy, gx).
        image: the network's input.
    """
    o, grid = head.options, head.input_shapes[0]
    cells = grid.height * grid.width
    rows = b.reshape(x, (o.per_cell, grid.channels // o.per_cell, cells))
    rows = b.node("Transpose", rows, perm=[0, 1, 3, 2])  # (N, A, gy*gx, E)
    xy, wh, scores = DECODERS[head.kind](b, head, rows)
    stride = np.array([image.width / grid.width, image.height / grid.height], np.float32)
    y, x_ = np.divmod(np.arange(cells, dtype=np.float32), np.float32(grid.width))
    xy = b.node("Add", xy, b.constant(np.stack([x_, y], 1)[None, None], "cells"))
    xy = b.node("Mul", xy, b.constant(stride.reshape(1, 1, 1, 2), "stride"))
    anchors = np.array(o.own_anchors, np.float32).reshape(1, -1, 1, 2)
    if head.kind == "region":  # its anchors are in cells
        anchors = anchors * stride
    wh = b.node("Mul", wh, b.constant(anchors, "anchors"))
    boxes = b.node("Concat", xy, wh, scores, axis=_LAST)
    return b.reshape(boxes, (o.per_cell * cells, 5 + o.classes))


def _yolo(b: GraphBuilder, head: Layer, rows: str) -> tuple[str, str, str]:
    o = head.options
    xy, wh, scores = _columns(b, rows, 0, 2), _columns(b, rows, 2, 4), _columns(b, rows, 4)
    if o.new_coords:
        double = b.affine(wh, 2.0)
        wh = b.node("Mul", double, double)
    else:
        xy, wh, scores = b.node("Sigmoid", xy), _exponential(b, wh), b.node("Sigmoid", scores)
    return _spread(b, xy, o.scale_x_y), wh, scores


def _gaussian_yolo(b: GraphBuilder, head: Layer, rows: str) -> tuple[str, str, str]:
    """Entries x sx y sy w sw h sh objectness classes; s are uncertainties, whose mean lowers the class scores."""
    xy = _spread(b, b.node("Sigmoid", _columns(b, rows, 0, 4, 2)), head.options.scale_x_y)
    wh = _exponential(b, _columns(b, rows, 4, 8, 2))
    uncertainty = b.node("ReduceMean", b.node("Sigmoid", _columns(b, rows, 1, 8, 2)), axes=[_LAST], keepdims=1)
    objectness, classes = b.node("Sigmoid", _columns(b, rows, 8, 9)), b.node("Sigmoid", _columns(b, rows, 9))
    classes = b.node("Mul", classes, b.affine(uncertainty, -1.0, 1.0))
    return xy, wh, b.node("Concat", objectness, classes, axis=_LAST)


def _region(b: GraphBuilder, head: Layer, rows: str) -> tuple[str, str, str]:
    objectness, classes = b.node("Sigmoid", _columns(b, rows, 4, 5)), _columns(b, rows, 5)
    if head.options.softmax:
        classes = b.node("Softmax", classes, axis=_LAST)
    return (b.node("Sigmoid", _columns(b, rows, 0, 2)), _exponential(b, _columns(b, rows, 2, 4)),
            b.node("Concat", objectness, classes, axis=_LAST))


def _columns(b: GraphBuilder, rows: str, start: int, stop: int = 2**31 - 1, step: int = 1) -> str:
    return b.node("Slice", rows, *(b.integers((number,)) for number in (start, stop, _LAST, step)))


def _exponential(b: GraphBuilder, logs: str) -> str:
    return b.node("Exp", b.node("Min", logs, b.scalar(_MAX_LOG_SIZE)))


def _spread(b: GraphBuilder, xy: str, scale: float) -> str:
    return b.affine(xy, scale, -0.5 * (scale - 1))


DECODERS: Mapping[str, Decode] = {"yolo": _yolo, "gaussian_yolo": _gaussian_yolo, "region": _region}
