"""The command lines of the ancestor's notes, word for word, in a checkout with our commands and a user's data.

The notes say that a fine-tuning takes `--t_cfg` and `--t_weights`, too, but print no line with them: one is made here. The lines
of other notes beside these belong to YOLOv5, which is not read here.
"""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

from models import Darknet, get_weights, save_checkpoint, save_weights, set_weights
from tests.shared import SHARED
from utils.cli.training.watch import Watch
from utils.darknet.builder import build_cfg
from utils.datasets.demo import generate
from utils.deploy import measure
from utils.training.events import BatchReport

ROOT = Path(__file__).resolve().parents[1]
NOTES = SHARED / "seeds" / "003_33fa5e4c1f939625.txt"
TRAINED = tuple(f"weights/{name}.{ending}" for name in ("last", "best") for ending in ("weights", "pt"))


@dataclass(frozen=True)
class Line:
    """A command line. leaves: files that are there afterwards. first: lines that make what it reads and nobody has."""

    text: str
    leaves: tuple[str, ...] = ()
    first: tuple[str, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether it is a training: it takes as long, and is interrupted here."""
        return " train.py " in self.text


def pair(name: str, cfg: str) -> tuple[str, str]:
    """What a pruning command writes."""
    return f"cfg/{name}_{cfg}.cfg", f"weights/{name}_last.weights"


PRUNE = "python prune.py --cfg cfg/my_cfg.cfg --data data/my_data.data --weights weights/last.pt --percent 0.85"
HAND = "--data data/oxfordhand.data"
LINES = (  # in the order of the notes, each once
    Line("python train.py --cfg cfg/my_cfg.cfg --data data/my_data.data --weights weights/yolov3.weights --epochs 100 --batch-size 32",
         TRAINED),
    Line("python -c \"from models import *; convert('cfg/yolov3.cfg', 'weights/last.pt')\"",
         ("weights/last.weights", "weights/converted.weights")),
    Line("python train.py --cfg cfg/my_cfg.cfg --data data/my_data.data --weights weights/last.weights --epochs 300 "
         "--batch-size 32 -sr --s 0.001 --prune 1", TRAINED),
    Line(PRUNE, pair("prune_0.85", "my_cfg")),
    Line("python shortcut_prune.py --cfg cfg/my_cfg.cfg --data data/my_data.data --weights weights/last.pt --percent 0.6",
         pair("prune_0.6", "my_cfg")),
    Line("python slim_prune.py --cfg cfg/my_cfg.cfg --data data/my_data.data --weights weights/last.pt --global_percent 0.8 "
         "--layer_keep 0.01", pair("prune_0.8_keep_0.01", "my_cfg")),
    Line("python layer_prune.py --cfg cfg/my_cfg.cfg --data data/my_data.data --weights weights/last.pt --shortcuts 12",
         pair("prune_12_shortcut", "my_cfg")),
    Line("python layer_channel_prune.py --cfg cfg/my_cfg.cfg --data data/my_data.data --weights weights/last.pt --shortcuts 12 "
         "--global_percent 0.8 --layer_keep 0.1", pair("prune_0.8_keep_0.1_12_shortcut", "my_cfg")),
    Line("python train.py --cfg cfg/prune_0.85_my_cfg.cfg --data data/my_data.data --weights weights/prune_0.85_last.weights "
         "--epochs 100 --batch-size 32", TRAINED, (PRUNE,)),
    Line("tensorboard --logdir runs"),
    Line("python train.py --cfg cfg/yolov3-spp-hand.cfg --data data/oxfordhand.data --weights weights/yolov3-spp.weights "
         "--batch-size 20 --epochs 100", TRAINED),
    Line("python train.py --cfg cfg/yolov3-spp-hand.cfg --data data/oxfordhand.data --weights weights/converted.weights "
         "--batch-size 20 --epochs 300 -sr --s 0.001 --prune 1", TRAINED),
    Line("python layer_channel_prune.py --cfg cfg/yolov3-spp-hand.cfg --data data/oxfordhand.data --weights weights/last.pt "
         "--global_percent 0.93 --layer_keep 0.01 --shortcuts 16", pair("prune_0.93_keep_0.01_16_shortcut", "yolov3-spp-hand")),
    # the notes' names are not those that the line above gives, in the ancestor neither, but those of these two steps
    Line("python train.py --cfg cfg/prune_16_shortcut_prune_0.93_keep_0.01_yolov3-spp-hand.cfg --data data/oxfordhand.data "
         "--weights weights/prune_16_shortcut_prune_0.93_keep_0.01_last.weights --batch-size 52 --epochs 50", TRAINED, (
             f"python slim_prune.py --cfg cfg/yolov3-spp-hand.cfg {HAND} --weights weights/last.pt --global_percent 0.93",
             f"python layer_prune.py --cfg cfg/prune_0.93_keep_0.01_yolov3-spp-hand.cfg {HAND} "
             "--weights weights/prune_0.93_keep_0.01_last.weights --shortcuts 16")),
)
STORIES = {"my_cfg": LINES[:10], "yolov3-spp-hand": (LINES[10], LINES[1], *LINES[11:])}  # the second one converts, too
TAUGHT = Line(f"{LINES[8].text} --t_cfg cfg/my_cfg.cfg --t_weights weights/last.pt", TRAINED, (PRUNE,))
RUN_HERE = [*(line for line in LINES if line.text.startswith("python ")), TAUGHT]


@pytest.fixture(scope="session")
def user_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has: a yolov3 and a yolov3-spp for three classes, both narrow, their COCO weights, and images with labels."""
    folder = tmp_path_factory.mktemp("user")
    for name in ("cfg", "weights", "data"):
        (folder / name).mkdir()
    generate(folder / "data" / "drawn", images=8, size=64, seed=1)
    for name in ("my_data", "oxfordhand"):
        (folder / "data" / f"{name}.data").write_text(
            "classes=3\ntrain=data/drawn/train.txt\nvalid=data/drawn/valid.txt\nnames=data/drawn/demo.names\n")
    for architecture, own in (("yolov3", "my_cfg"), ("yolov3-spp", "yolov3-spp-hand")):
        for classes, cfg in ((80, folder / "coco.cfg"), (3, folder / "cfg" / f"{own}.cfg")):
            cfg.write_text(build_cfg(architecture, classes=classes, width=64, width_multiple=0.02))
        save_weights(Darknet(folder / "coco.cfg"), folder / "weights" / f"{architecture}.weights")
    return folder


@pytest.fixture
def checkout(user_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the user's files in it, and the working directory. What is cfg/yolov3.cfg was made for the user's data."""
    for file in [*ROOT.glob("*.py"), ROOT / "utils"]:
        (tmp_path / file.name).symlink_to(file)
    shutil.copytree(user_files, tmp_path, dirs_exist_ok=True)
    shutil.copy(tmp_path / "cfg" / "my_cfg.cfg", tmp_path / "cfg" / "yolov3.cfg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put_trained(cfg: str) -> None:
    """What an earlier run with sparsity, and a conversion, left in weights/: few channels of each layer matter."""
    model = Darknet(cfg)
    weights, rng = get_weights(model), np.random.default_rng(0)
    for arrays in weights.layers:
        if "gamma" in arrays:
            few = np.arange(len(arrays["gamma"])) < max(2, len(arrays["gamma"]) // 20)
            arrays["gamma"][:] = rng.permutation(np.where(few, 1, 1e-3)) * rng.uniform(0.5, 1)
    set_weights(model, weights)
    run = Path("runs", "earlier")
    run.mkdir(parents=True)
    save_checkpoint(run / "last.pt", model, epoch=3)
    save_weights(model, run / "last.weights")
    for name in ("last.pt", "last.weights"):
        Path("weights", name).symlink_to(Path("..", run, name))
    Path("weights", "converted.weights").hardlink_to(run / "last.weights")


def call(text: str) -> int:
    """A line within this process; its exit code."""
    _, script, *words = shlex.split(text)
    if script == "-c":
        exec(words[0], {})
        return 0
    return importlib.import_module(script.removesuffix(".py")).main(words)


def test_the_list_holds_every_command_line_of_the_notes():
    if not NOTES.is_file():
        pytest.skip("the ancestor's notes (../shared/seeds, or BONSAI_SHARED) are not on this machine")
    printed = [text for text in re.findall(r"`([^`\n]*)`", NOTES.read_text(encoding="utf-8"))
               if text.startswith(("python ", "tensorboard "))]
    assert list(dict.fromkeys(printed)) == [line.text for line in LINES]


@pytest.mark.parametrize("line", RUN_HERE, ids=lambda line: line.text[7:40])
def test_a_line_runs_unchanged(line, checkout, monkeypatch, capfd):
    """In this process, on one thread, without pictures and with one run to tell the latency.

    Trainings are interrupted in their second epoch, and leave what they have.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("utils.deploy.measure", lambda engine, x, **_: measure(engine, x, warmup=0, repeats=1))
    for name in ("draw_curves", "draw_gamma_history", "draw_layer_gammas", "write_png"):
        monkeypatch.setattr(f"utils.cli.training.watch.{name}", lambda *_: None)
    show = Watch.show

    def watched(self: Watch, event: object) -> None:
        show(self, event)
        if isinstance(event, BatchReport) and event.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Watch, "show", watched)
    put_trained("cfg/yolov3-spp-hand.cfg" if HAND in line.text else "cfg/my_cfg.cfg")
    for text in line.first:
        assert call(text) == 0, capfd.readouterr().err
    assert call(line.text) == (130 if line.trains else 0), capfd.readouterr().err
    assert all(Path(file).stat().st_size > 0 for file in line.leaves)
    if line.trains:
        assert {Path(file).resolve().parent.name for file in line.leaves} == {"train"}
        assert len(Path("runs/train/results.csv").read_text().splitlines()) == 2  # the names of the columns, and epoch 0
        assert events_of("runs") == {"train"}
    elif len(line.leaves) == 2 and "prune" in line.text:
        cv2.dnn.readNetFromDarknet(*line.leaves)


def events_of(folder: str) -> set[str]:
    """The runs in a folder of which `tensorboard --logdir` would show a loss, as its own reader finds them."""
    reader = EventMultiplexer().AddRunsFromDirectory(folder)
    reader.Reload()
    return {run for run, tags in reader.Runs().items() if "train/total" in tags["scalars"]}


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in RUN_HERE if not line.trains], ids=lambda line: line.text[7:40])
def test_a_line_runs_with_a_cfg_that_ships(line, checkout, monkeypatch, capfd):
    """At full size, untrained but for its gammas; a set of 80 classes of which three occur."""
    monkeypatch.setattr("utils.deploy.measure", lambda engine, x, **_: measure(engine, x, warmup=0, repeats=1))
    for own, shipped in (("yolov3-spp-hand", "yolov3-spp"), ("my_cfg", "yolov3"), ("yolov3", "yolov3")):
        shutil.copy(ROOT / "cfg" / f"{shipped}.cfg", f"cfg/{own}.cfg")
    for data in Path("data").glob("*.data"):
        data.write_text(f"classes=80\ntrain=data/drawn/train.txt\nvalid=data/drawn/valid.txt\nnames={ROOT}/data/coco.names\n")
    put_trained("cfg/yolov3-spp-hand.cfg" if HAND in line.text else "cfg/my_cfg.cfg")
    assert call(line.text) == 0, capfd.readouterr().err
    assert all(Path(file).stat().st_size > 0 for file in line.leaves)


@pytest.mark.slow
@pytest.mark.parametrize("cfg", STORIES)
def test_the_whole_story_runs_in_a_shell(cfg, checkout, monkeypatch):
    """Line after line, each with what the earlier ones left; trainings get a Ctrl-C when their first epoch is saved."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    shutil.copy(f"cfg/{cfg}.cfg", "cfg/yolov3.cfg")
    for line in STORIES[cfg]:
        for text in (*line.first, line.text):
            said, code = typed(text)
            assert code == (130 if line.trains and text == line.text else 0), f"{text}\n{said}"
        assert all(Path(file).stat().st_size > 0 for file in line.leaves)


def typed(text: str) -> tuple[str, int]:
    """What a line says in a shell, and its exit code; 0 for a TensorBoard that showed a run."""
    run = os.path.realpath("weights/last.pt")
    with subprocess.Popen(["bash", "-c", text], start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        if text.startswith("tensorboard"):
            shown = happens(lambda: "train" in page("http://localhost:6006/data/runs"), process)
            process.kill()
            return process.communicate()[0], int(not shown)
        if " train.py " in text and happens(lambda: os.path.realpath("weights/last.pt") != run, process):
            os.killpg(process.pid, signal.SIGINT)
        return process.communicate(timeout=300)[0], process.returncode


def happens(condition: Callable[[], bool], process: subprocess.Popen) -> bool:
    """Wait until it is so, at most two minutes, and not beyond the end of the process."""
    end = time.monotonic() + 120
    while not (so := condition()) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    return so


def page(address: str) -> str:
    """A page of a server, empty while there is none."""
    try:
        with urlopen(address, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""
