"""Whole commands on damaged files: they end with 0, 1 or 2, say why in one line, and write where they were told or nowhere."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random

import cv2
import numpy as np

from tests.fuzz import starts
from tests.fuzz.edits import EDITS, damaged
from tests.fuzz.guard import contents
from tests.fuzz.starts import Start

_EDITS = {"case.cfg": "text", "case.weights": "weights", "case.data": "text", "case.names": "text", "train.txt": "text",
          "labels/0.txt": "text", "images/0.png": "bytes", "plan.json": "json"}
_PAIR = ("--cfg", "case.cfg", "--weights", "case.weights")
_OUT = ("--out", "out", "--repeats", "1")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "slim_prune": (*_PAIR, *_OUT, "--global_percent", "0.3", "--data", "case.data"),
    "prune": (*_PAIR, *_OUT, "--percent", "0.4", "--apply", "plan.json"),
    "layer_channel_prune": (*_PAIR, *_OUT, "--shortcuts", "1", "--global_percent", "0.3", "--images", "images"),
    "compress": (*_PAIR, "--out", "out", "--target", "2x", "--images", "train.txt", "--data", "case.data"),
    "verify": (*_PAIR, "--images", "images"),
    "detect": (*_PAIR, "--data", "case.data", "--source", "images", "--output", "out"),
    "compare": ("--data", "case.data", "one=case.cfg,case.weights", "--repeats", "1"),
    "doctor": (*_PAIR, "--data", "case.data", "--percent", "0.5", "--quiet"),
    "train": (*_PAIR, "--t_cfg", "case.cfg", "--t_weights", "case.weights", "--data", "case.data",
              "--epochs", "1", "--batch-size", "2",
              "--workers", "0", "--out", "out/run"),
    "make_cfg": ("yolov3-tiny", "--anchors-from", "case.data", "--width", "64", "-o", "out/made.cfg"),
}
_MAY_APPEAR = ".bonsai-cache.npz"  # of labels, beside their list: kept for the next try


def command_starts() -> Iterable[Start]:
    """One whole set of files; which of them is damaged is drawn for each case."""
    yield Start(b"")


def prepare(folder: Path, start: Start, data: bytes, rng: Random) -> Callable[[], object]:
    """A pair with its data set, one or two files of it damaged, and a command."""
    _write(folder)
    for name in rng.sample(sorted(_EDITS), rng.choice((1, 1, 1, 2))):
        path = folder / name
        path.write_bytes(damaged(rng, path.read_bytes(), EDITS[_EDITS[name]], [path.read_bytes()]))
    name = rng.choice(sorted(COMMANDS))
    main = importlib.import_module(name).main
    return lambda: _run(folder, main, [name, *COMMANDS[name]])


def _write(folder: Path) -> None:
    network, weights = starts.small_pairs()[0]
    for name in ("images", "labels", "out"):
        (folder / name).mkdir()
    for i in range(3):
        picture = np.random.default_rng(i).integers(0, 256, (32, 40, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), picture)
        (folder / "labels" / f"{i}.txt").write_text("".join(f"{k % 2} 0.5 0.5 0.{k + i}5 0.{k + 2}\n" for k in range(1, 4)))
    (folder / "train.txt").write_text("".join(f"images/{i}.png\n" for i in range(3)))
    (folder / "case.names").write_text("cat\ndog\n")
    (folder / "case.data").write_text("classes=2\ntrain=train.txt\nvalid=train.txt\nnames=case.names\n")
    (folder / "case.cfg").write_bytes(network.document.to_bytes())
    (folder / "case.weights").write_bytes(starts.file_of(network, weights))
    (folder / "plan.json").write_bytes(next(iter(starts.plan_starts())).data)


def _run(folder: Path, main: Callable[[list[str]], int], words: list[str]) -> None:
    before = contents(folder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as told:
        code = main(words[1:])
    said = told.getvalue()
    command = " ".join(words)
    assert code in (0, 1, 2), f"{command} ends with {code}: {said}"
    assert "Traceback" not in said, f"{command}: {said}"
    if code == 2:
        assert said.rstrip().rpartition("\n")[2].startswith("error: "), f"{command} does not say why it ends with {code}: {said}"
    after = contents(folder)
    out = str(folder / "out")
    changed = [name for name in after.keys() | before.keys() if after.get(name) != before.get(name)]
    wrong = [name for name in changed if not name.endswith(_MAY_APPEAR) and (code or not name.startswith(out))]
    assert not [name for name in wrong if name != out], f"{command} ends with {code} and writes {wrong}"
