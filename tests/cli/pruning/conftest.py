"""What the tests of pruning commands work on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.pruning.command import CFG, RESIDUAL_CFG
from utils.darknet import initial_weights, read_network, write_weights


def _written_pair(folder: Path, text: str) -> tuple[Path, Path]:
    (folder / "cfg").mkdir()
    (folder / "weights").mkdir()
    cfg, weights = folder / "cfg" / "my.cfg", folder / "weights" / "last.weights"
    cfg.write_text(text)
    network = read_network(cfg)
    arrays = initial_weights(network, seed=1)
    rng = np.random.default_rng(2)
    for layer in arrays.layers:
        if "gamma" in layer:
            layer["gamma"][:] = rng.uniform(0.1, 1, layer["gamma"].shape)
            layer["beta"][:] = rng.normal(0, 0.5, layer["beta"].shape)
    write_weights(weights, network, arrays, seen=32000)
    return cfg, weights


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """A cfg and weights with gammas that differ."""
    return _written_pair(tmp_path, CFG)


@pytest.fixture
def residual_pair(tmp_path) -> tuple[Path, Path]:
    """The same for two stages of two residual blocks."""
    return _written_pair(tmp_path, RESIDUAL_CFG)


@pytest.fixture
def data(tmp_path) -> Path:
    """Four labelled images and a .data file."""
    folder = tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        cv2.imwrite(str(folder / "images" / f"{i}.png"), rng.integers(0, 256, (48, 80, 3), np.uint8))
        (folder / "labels" / f"{i}.txt").write_text(f"{i % 2} 0.5 0.5 0.4 0.4\n")
    (folder / "valid.txt").write_text("".join(f"images/{i}.png\n" for i in range(4)))
    (folder / "my.names").write_text("cat\ndog\n")
    (folder / "my.data").write_text(f"classes=2\ntrain={folder}/valid.txt\nvalid={folder}/valid.txt\nnames={folder}/my.names\n")
    return folder / "my.data"
