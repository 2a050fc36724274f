"""Detection heads: [yolo], [Gaussian_yolo] and [region] as modules that regroup their input, and decode it on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from utils.darknet import Layer
from utils.detection.decode import decode_gaussian_yolo, decode_region, decode_yolo
from utils.layers.base import DarknetLayer, Surroundings


class HeadLayer(DarknetLayer):
    """(N, A*E, gy, gx) -> (N, A, gy, gx, E): A anchors of E numbers, 5 + classes (9 + classes for [Gaussian_yolo]).

    Nothing is computed: these are the raw numbers, before the logistic. `decode` makes boxes of them.

    Attributes:
        anchors: (A, 2) width and height; pixels, or cells in a [region].
    """

    def __init__(self, section: Layer) -> None:
        super().__init__(section)
        self.anchors: Tensor
        self.register_buffer("anchors", torch.tensor(section.options.own_anchors), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        n, _, rows, columns = x.shape
        return x.reshape(n, self.section.options.per_cell, -1, rows, columns).permute(0, 1, 3, 4, 2)

    def exact_anchors(self) -> Tensor | tuple[tuple[float, float], ...]:
        """The anchors in single precision at least, also in a model that was cast to half."""
        return self.anchors if self.anchors.dtype in (torch.float32, torch.float64) else self.section.options.own_anchors

    def decode(self, raw: Tensor, height: int, width: int) -> Tensor:
        """Boxes of a raw output for images of height x width pixels.

        (N, A, gy, gx, E) -> (N, A*gy*gx, 5 + classes): centre x, y, width, height in pixels of the network's input,
        objectness, and the probability of each class given an object.
        """
        stride = (width / raw.shape[3], height / raw.shape[2])
        return _DECODERS[self.section.kind](self, raw, stride)


def _decode_yolo(head: HeadLayer, raw: Tensor, stride: tuple[float, float]) -> Tensor:
    options = head.section.options
    return decode_yolo(raw, anchors=head.exact_anchors(), stride=stride, scale_x_y=options.scale_x_y,
                       new_coords=options.new_coords)


def _decode_gaussian_yolo(head: HeadLayer, raw: Tensor, stride: tuple[float, float]) -> Tensor:
    return decode_gaussian_yolo(raw, anchors=head.exact_anchors(), stride=stride, scale_x_y=head.section.options.scale_x_y)


def _decode_region(head: HeadLayer, raw: Tensor, stride: tuple[float, float]) -> Tensor:
    return decode_region(raw, anchors=head.exact_anchors(), stride=stride, softmax=head.section.options.softmax)


_DECODERS: Mapping[str, Callable[[HeadLayer, Tensor, tuple[float, float]], Tensor]] = {
    "yolo": _decode_yolo,
    "gaussian_yolo": _decode_gaussian_yolo,
    "region": _decode_region,
}


def build_head(section: Layer, _: Surroundings) -> DarknetLayer:
    """A head of any kind as a module."""
    return HeadLayer(section)
