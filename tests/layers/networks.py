"""Small networks from a few lines of cfg, and their modules, for the tests of this room."""

from __future__ import annotations

import torch
from torch import Tensor

from models import Darknet
from utils.darknet import parse_network


def darknet(sections: str, channels: int = 3, height: int = 12, width: int = 10, **options: bool) -> Darknet:
    """A Darknet with random weights and statistics from the text below [net], in eval mode."""
    text = f"[net]\nwidth={width}\nheight={height}\nchannels={channels}\n{sections}"
    model = Darknet(parse_network(text, "small.cfg"), **options).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for layer in model.layers:
            for name, tensor in layer.arrays().items():
                drawn = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(drawn + 0.5 if name in ("gamma", "var") else drawn - 0.5)
    return model


def image(channels: int = 3, height: int = 12, width: int = 10, batch: int = 2) -> Tensor:
    """A batch of noise in [-1, 1]."""
    return torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(3)) * 2 - 1


def last(model: Darknet, x: Tensor) -> Tensor:
    """The output of the network's last layer."""
    index = len(model.layers) - 1
    with torch.no_grad():
        return model.forward_layers(x, [index])[index]
