"""Commands as tests run them, and a small pair to run them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cfg_text import cfg, convolution, net, output, yolo
from tests.cli.commands import loaded
from utils.darknet import initial_weights, parse_network, write_weights


@pytest.fixture
def command() -> Callable[[str], Callable[..., int]]:
    """`command("test.py")` is the main function of that script."""

    return lambda name: loaded(name).main


CFG = cfg(net(32), convolution(8, stride=4), output(21), yolo("4,4, 8,8, 16,16"))


@dataclass(frozen=True)
class Pair:
    """A small pair with a data set, in a folder of its own."""

    folder: Path
    cfg: Path
    weights: Path
    data: Path
    names: Path
    images: tuple[Path, ...]

    @property
    def model(self) -> list[str]:
        """--cfg and --weights."""
        return ["--cfg", str(self.cfg), "--weights", str(self.weights)]

    def files(self) -> set[Path]:
        """All files below the folder."""
        return {path for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """An untrained pair, three images of different shapes, two of them labelled. The working directory is its folder."""
    network = parse_network(CFG)
    (tmp_path / "small.cfg").write_text(CFG)
    write_weights(tmp_path / "small.weights", network, initial_weights(network, 1))
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    images = []
    for number, size in enumerate([(40, 60), (32, 32), (90, 48)]):
        path = tmp_path / "images" / f"{number}.png"
        cv2.imwrite(str(path), random.integers(0, 256, (*size, 3), np.uint8))
        images.append(path)
    (tmp_path / "labels" / "0.txt").write_text("0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.25 0.25\n")
    (tmp_path / "labels" / "1.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "valid.txt").write_text("".join(f"images/{path.name}\n" for path in images))
    (tmp_path / "small.names").write_text("cat\ndog\n")
    (tmp_path / "small.data").write_text("classes=2\ntrain=valid.txt\nvalid=valid.txt\nnames=small.names\n")
    monkeypatch.chdir(tmp_path)
    return Pair(tmp_path, tmp_path / "small.cfg", tmp_path / "small.weights", tmp_path / "small.data",
                tmp_path / "small.names", tuple(images))
