"""Small pairs made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from utils.darknet import Network, Weights, initial_weights, parse_network, write_cfg, write_weights

TINY = """\
[net]
width=64
height=32
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=1

[convolutional]
batch_normalize=1
filters=8
size=1
stride=1
pad=1
activation=mish

[shortcut]
from=-2
activation=linear

[convolutional]
filters=14
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1
anchors=10,14, 23,27, 37,58
classes=2
num=3

[route]
layers=-3

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=swish

[convolutional]
filters=7
size=1
stride=1
pad=1
activation=logistic

[yolo]
mask=2
anchors=10,14, 23,27, 37,58
classes=2
num=3
new_coords=1
scale_x_y=2.0
"""

# what pjreddie's Darknet of 2018 knows, too
OLD = TINY.replace("mish", "leaky").replace("swish", "leaky").replace("new_coords=1\nscale_x_y=2.0\n", "")


def random_weights(network: Network, seed: int = 0, smallest_variance: float = 0.5) -> Weights:
    """Weights with batch norms as after a training, variances between `smallest_variance` and 1.5."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(network, seed)
    low = np.log(smallest_variance)
    changes = {}
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        drawn = {
            "gamma": lambda n: rng.uniform(0.5, 1.5, n),
            "beta": lambda n: rng.normal(0, 0.3, n),
            "bias": lambda n: rng.normal(0, 0.3, n),
            "mean": lambda n: rng.normal(0, 0.1, n),
            "var": lambda n: np.exp(rng.uniform(low, np.log(1.5), n)),
        }
        changes[layer.index] = {name: drawn[name](array.shape).astype(np.float32) if name in drawn else array
                                for name, array in arrays.items()}
    return weights.with_layers(changes)


def pair(folder: Path, text: str = TINY, seed: int = 0, smallest_variance: float = 0.5) -> tuple[Path, Path]:
    """Write a cfg and random weights for it."""
    network = parse_network(text, "model.cfg")
    cfg, weights = folder / "model.cfg", folder / "model.weights"
    write_cfg(cfg, network)
    write_weights(weights, network, random_weights(network, seed, smallest_variance))
    return cfg, weights
