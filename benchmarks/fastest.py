"""The fastest run of a pair in an engine: what the machine takes when nobody disturbs it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from utils.darknet import Network, Weights, write_cfg, write_weights
from utils.deploy import measure, open_engine, random_images

_RUNS = 40


def fastest_ms(network: Network, weights: Weights, engine: str, threads: int | None) -> float:
    """Milliseconds for one image of the network's input size."""
    shape = network.input_shape
    image = random_images(1, shape.channels, shape.height, shape.width, 0)
    with tempfile.TemporaryDirectory() as folder:
        cfg, file = Path(folder, "a.cfg"), Path(folder, "a.weights")
        write_cfg(cfg, network)
        write_weights(file, network, weights)
        opened = open_engine(engine, cfg, file, threads=threads)
        measure(opened, image, repeats=3)
        return min(measure(opened, image, warmup=0, repeats=1).median_ms for _ in range(_RUNS))
