"""A small data set, small networks, and train.py within this process: a run takes half a second."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import cfg_text
from tests.cfg_text import convolution, net, output, yolo
from utils.datasets.demo import generate

SPEED = ("images_per_second", "memory_mb", "seconds")


def cfg(*, dropout: bool = False) -> str:
    """Two convolutions and a head with three anchors for three classes."""
    return cfg_text.cfg(net(64), convolution(8, stride=4), convolution(12, stride=4), *([cfg_text.dropout()] if dropout else []),
                        output(24), yolo("12,12, 20,20, 32,32", 3))


@dataclass(frozen=True)
class Workplace:
    """A folder with set/demo.data (19 images to train on, 5 to evaluate), tiny.cfg, and dropout.cfg."""

    folder: Path
    main: Callable[..., int]

    def train(self, *words: object, epochs: int = 2) -> int:
        """train.py with few epochs, and as quick as it gets; its exit code. Later words take the place of ours."""
        always = ("--data", "set/demo.data", "--batch-size", 4, "--threads", 1, "--workers", 0, "--tensorboard", "off")
        first = () if "--cfg" in words or "--arch" in words or "--weights" in words else ("--cfg", "tiny.cfg")
        return self.main([str(word) for word in (*first, *always, "--epochs", epochs, *words)])

    def resume(self, *words: object) -> int:
        """train.py --resume."""
        return self.main([str(word) for word in ("--threads", 1, "--workers", 0, "--tensorboard", "off", "--resume", *words)])

    def results(self, run: str) -> list[dict[str, str]]:
        """results.csv without the columns that depend on the machine."""
        with (self.folder / run / "results.csv").open(newline="") as file:
            return [{name: cell for name, cell in row.items() if name not in SPEED} for row in csv.DictReader(file)]

    def bytes_of(self, name: str) -> bytes:
        """The content of a file."""
        return (self.folder / name).read_bytes()

    def files(self) -> set[Path]:
        """All there is, label caches aside: those are kept for the next try."""
        return {path for path in self.folder.rglob("*") if not path.name.endswith(".bonsai-cache.npz")}


@pytest.fixture(scope="session")
def drawn_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set that `work` copies."""
    folder = tmp_path_factory.mktemp("drawn")
    generate(folder, images=24, size=(48, 64), seed=1)
    return folder


@pytest.fixture
def work(drawn_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable) -> Workplace:
    """A fresh workplace, and the working directory. Pictures are not drawn, curves have tests of their own."""
    shutil.copytree(drawn_set, tmp_path / "set")
    (tmp_path / "tiny.cfg").write_text(cfg())
    (tmp_path / "dropout.cfg").write_text(cfg(dropout=True))
    monkeypatch.chdir(tmp_path)
    main = command("train.py")
    for name in ("draw_curves", "draw_gamma_history", "draw_layer_gammas"):
        monkeypatch.setattr(f"utils.cli.training.watch.{name}", lambda *_: None)
    monkeypatch.setattr("utils.cli.training.watch.write_png", lambda *_: None)
    return Workplace(tmp_path, main)
