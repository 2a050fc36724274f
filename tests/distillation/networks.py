"""Small detectors with two heads, as students and teachers, and batches for them."""

from __future__ import annotations

import torch

from models import Darknet
from utils.darknet import Network, parse_network

CFG = """[net]
width={size}
height={size}
channels={channels}

[convolutional]
batch_normalize=1
filters={width}
size=3
stride=8
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters={width}
size=3
stride=1
pad=1
activation=leaky

[shortcut]
from=-2
activation=linear

[convolutional]
size=1
stride=1
pad=1
filters={outputs}
activation={last}

[yolo]
mask=0,1
anchors={anchors}
classes={classes}
num=4
scale_x_y={scale}
new_coords={new}

[route]
layers=2

[convolutional]
batch_normalize=1
filters={width}
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters={outputs}
size=1
activation={last}

[yolo]
mask=2,3
anchors={anchors}
classes={classes}
num=4
scale_x_y={scale}
new_coords={new}
"""
ANCHORS = "6,6, 10,12, 20,16, 30,30"
HEAD_MAPS = (2, 6)


def network(width: int = 6, *, classes: int = 2, anchors: str = ANCHORS, size: int = 64, channels: int = 3,
            scale: float = 1.0, new: int = 0) -> Network:
    """Heads with a cell per 8 and per 16 pixels; the maps before them are layers 2 and 6."""
    return parse_network(CFG.format(width=width, classes=classes, outputs=2 * (5 + classes), anchors=anchors, size=size,
                                    channels=channels, scale=scale, new=new, last="logistic" if new else "linear"))


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
