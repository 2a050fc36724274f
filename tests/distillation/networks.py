"""Small detectors with two heads, as students and teachers, and batches for them."""

from __future__ import annotations

import torch

from models import Darknet
from tests.cfg_text import cfg, convolution, net, output, section, shortcut, yolo
from utils.darknet import Network, parse_network

ANCHORS = "6,6, 10,12, 20,16, 30,30"
HEAD_MAPS = (2, 6)


def network(width: int = 6, *, classes: int = 2, anchors: str = ANCHORS, size: int = 64, channels: int = 3,
            scale: float = 1.0, new: int = 0) -> Network:
    """Heads with a cell per 8 and per 16 pixels; the maps before them are layers 2 and 6."""
    last = output(2 * (5 + classes), "logistic" if new else "linear")
    heads = [yolo(anchors, classes, mask=mask, scale_x_y=scale, new_coords=new) for mask in ("0,1", "2,3")]
    return parse_network(cfg(
        net(size, channels=channels), convolution(width, stride=8), convolution(width), shortcut(-2), last, heads[0],
        section("route", layers=2), convolution(width, stride=2), last, heads[1]))


def model(width: int = 6, seed: int = 0, **options) -> Darknet:
    """With statistics that no batch has."""
    result = Darknet(network(width, **options), init=False).initialise(seed)
    generator = torch.Generator().manual_seed(seed)
    for name, buffer in result.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.3, generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=generator)
    return result


def pictures(images: int = 3, seed: int = 0, size: int = 64) -> torch.Tensor:
    """(N, 3, size, size) uint8."""
    return torch.randint(0, 256, (images, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
