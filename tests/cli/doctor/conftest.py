"""A pair, labels and images with which nothing is wrong, and what the doctor says of them once a test broke something."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cfg_text import cfg, convolution, output, section, yolo
from utils.cli.doctor import Files, Finding, examine
from utils.darknet import initial_weights, parse_network, write_weights

ROOT = Path(__file__).resolve().parents[3]

CFG = cfg(section("net", batch=2, width=32, height=32, channels=3, max_batches=100),
          convolution(16, stride=4), convolution(16), output(21), yolo("5,5, 8,8, 16,16"))


@dataclass(frozen=True)
class Patient:
    """Files in a folder of their own, which is the working directory; names are relative to it."""

    files: Files
    folder: Path

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the first `old` in a file by `new`."""
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new, 1))

    def write_weights(self, change: Callable[[dict], dict] = dict, *, seen: int = 0, cfg: str | None = None) -> None:
        """Initial weights of `cfg`, by default of this cfg, each layer's arrays first given to `change`."""
        network = parse_network((self.folder / "my.cfg").read_text() if cfg is None else cfg)
        weights = initial_weights(network, 1)
        weights = replace(weights, layers=tuple(change(arrays) for arrays in weights.layers))
        write_weights(self.folder / "my.weights", network, weights, seen=seen)

    def examined(self, percent: float | None = None, **other: Path | None) -> list[Finding]:
        """All findings about the files."""
        return list(examine(replace(self.files, **other), percent))

    def said(self, subject: str, percent: float | None = None, **other: Path | None) -> list[Finding]:
        """What it says of one subject."""
        return [finding for finding in self.examined(percent, **other) if finding.subject == subject]


def sparse(arrays: dict) -> dict:
    """A layer half of whose gammas a sparsity training pressed to nearly zero."""
    if "gamma" not in arrays:
        return arrays
    gamma = np.linspace(0.5, 1.5, len(arrays["gamma"]), dtype=np.float32)
    gamma[: len(gamma) // 2] = 1e-4
    return {**arrays, "gamma": gamma}


@pytest.fixture
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """Nothing is wrong with it, and there is nothing to look at."""
    monkeypatch.chdir(tmp_path)
    patient = Patient(Files(Path("my.cfg"), Path("my.weights"), Path("my.data")), tmp_path)
    Path("my.cfg").write_text(CFG)
    patient.write_weights(sparse)
    Path("images").mkdir()
    Path("labels").mkdir()
    names = [f"{number}.png" for number in range(70)]
    picture = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))[1].tobytes()
    for number, name in enumerate(names):
        Path("images", name).write_bytes(picture)
        side = (5, 8, 16)[number % 3] / 32
        Path("labels", name).with_suffix(".txt").write_text(f"{number % 2} 0.5 0.5 {side} {side}\n")
    Path("train.txt").write_text("".join(f"images/{name}\n" for name in names[:64]))
    Path("valid.txt").write_text("".join(f"images/{name}\n" for name in names[64:]))
    Path("my.names").write_text("cat\ndog\n")
    Path("my.data").write_text("classes=2\ntrain=train.txt\nvalid=valid.txt\nnames=my.names\n")
    return patient


def check_command(line: str) -> None:
    """Fail unless a shell can read a suggested line, and the program in it, where it is one of ours, knows its flags."""
    assert subprocess.run(["bash", "-n", "-c", line], capture_output=True, check=False).returncode == 0, line
    words = shlex.split(line)
    if words[:2] == ["python", "-c"]:
        compile(words[2], "<command>", "exec")
    elif words[0] == "python":
        assert parsed(words[1], words[2:]) == 0, line
    elif words[0] == "weights/download.sh" or "weights/download.sh" in words:
        assert f"\n{words[-1]}" in (ROOT / "weights" / "download.sh").read_text(), line
    else:
        assert words[0] in PROGRAMS, f"{line}: add {words[0]} here if it is what a user has"


PROGRAMS = ("sed", "tr", "tail", "printf", "pip", "apt-get", "git", "rm", "mkdir", "export", "unset", "./darknet",
            "${EDITOR:-vi}")


def parsed(script: str, words: list[str]) -> int:
    """The exit code of a command of ours that only reads its flags."""
    spec = importlib.util.spec_from_file_location(f"parsed_{Path(script).stem}", ROOT / script)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    codes = []

    def only_parse(body, parser, argv=None, **_):
        try:
            parser.parse_args(argv)
            codes.append(0)
        except SystemExit as stop:
            codes.append(stop.code)
        return codes[-1]

    module.run_command = only_parse
    module.main(words)
    return codes[-1]
