"""Going on: the same bytes as without an interruption, whatever it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from utils.cli.training.watch import Watch
from utils.training import validation
from utils.training.events import BatchReport

ROOT = Path(__file__).resolve().parents[3]
EPOCHS = 3
VARIANTS = {
    "plain": (),
    "dropout, sparsity that tunes itself, and a window across the end": (
        "--cfg", "dropout.cfg", "-sr", "--s", "auto", "--accumulate", 3),
    "adam without average, images by weight": ("--adam", "--no-ema", "--img-weights", "--seed", 5),
    "adamw, bf16, proximal, several sizes": (
        "--optimizer", "adamw", "--amp", "bf16", "-sr", "--sparsity-step", "proximal", "--multi-scale", "--schedule", "cosine"),
    "frozen layers, rectangles, local decay": (
        "--freeze", 1, "--rect", "-sr", "--sparsity", "local-decay", "--hyp", "giou=2", "obj=10"),
}


class Crash(Exception):
    """The power goes."""


def at_batch(monkeypatch: pytest.MonkeyPatch, epoch: int, batch: int, what) -> None:
    """Call `what` when that batch is done; once."""
    show, done = Watch.show, []

    def watched(self, event):
        show(self, event)
        if not done and isinstance(event, BatchReport) and (event.epoch, event.batch) == (epoch, batch):
            done.append(True)
            what()

    monkeypatch.setattr(Watch, "show", watched)


def crash() -> None:
    raise Crash


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def tensors(value: object) -> list[torch.Tensor]:
    """All tensors in a nest of dictionaries and lists."""
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def assert_same(work, one: str, other: str) -> None:
    """Two runs ended in the same network, the same state of the optimiser, and the same figures."""
    for name in ("last.weights", "best.weights"):
        assert work.bytes_of(f"{one}/{name}") == work.bytes_of(f"{other}/{name}"), name
    assert work.results(one) == work.results(other)
    ours, theirs = (tensors(torch.load(work.folder / run / "last.pt", weights_only=True)) for run in (one, other))
    assert len(ours) > 10
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_after_a_crash_in_mid_epoch_a_run_ends_as_if_nothing_had_happened(work, monkeypatch, variant):
    flags = VARIANTS[variant]
    assert work.train(*flags, "--out", "whole", epochs=EPOCHS) == 0
    at_batch(monkeypatch, 1, 2, crash)
    with pytest.raises(Crash):
        work.train(*flags, "--out", "cut", epochs=EPOCHS)
    assert len(work.results("cut")) == 1
    assert work.bytes_of("cut/last.weights") != work.bytes_of("whole/last.weights")
    assert work.resume("cut/last.pt") == 0
    assert_same(work, "cut", "whole")


@pytest.mark.parametrize("batch", [0, 3, 4])
def test_ctrl_c_ends_the_step_saves_and_says_how_to_go_on(work, monkeypatch, capfd, batch):
    flags = ("--cfg", "dropout.cfg", "--accumulate", 3, "-sr")
    assert work.train(*flags, "--out", "whole", epochs=EPOCHS) == 0
    at_batch(monkeypatch, 1, batch, interrupt)
    assert work.train(*flags, "--out", "my run", epochs=EPOCHS) == 130
    said = capfd.readouterr().err
    assert "interrupted in epoch 2, and saved" in said
    assert "  python train.py --resume 'my run/last.pt'" in said
    progress = torch.load("my run/last.pt", weights_only=True)["training"]["progress"]
    assert (progress["epoch"], progress["batch"]) == (1, 3 if batch == 0 else 5), "to the end of the window of 3"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert work.resume("my run/last.pt") == 0
    assert_same(work, "my run", "whole")


def test_ctrl_c_during_an_evaluation_ends_it_and_it_is_made_again(work, monkeypatch, capfd):
    assert work.train("--out", "whole", epochs=EPOCHS) == 0
    detect, calls = validation.detect_dataset, []

    def detect_dataset(*words, **named):
        calls.append(True)
        if len(calls) == 2:
            interrupt()
        return detect(*words, **named)

    monkeypatch.setattr(validation, "detect_dataset", detect_dataset)
    assert work.train("--out", "cut", epochs=EPOCHS) == 130
    assert "interrupted in epoch 2" in capfd.readouterr().err
    assert len(work.results("cut")) == 1
    assert work.resume("cut/last.pt") == 0
    assert_same(work, "cut", "whole")


def test_a_second_ctrl_c_stops_at_once(work, monkeypatch, capfd):
    def twice():
        interrupt()
        interrupt()

    at_batch(monkeypatch, 1, 1, twice)
    assert work.train("--out", "cut") == 130
    assert "interrupted; what was saved before stays; --resume goes on from there" in capfd.readouterr().err
    assert torch.load("cut/last.pt", weights_only=True)["training"]["progress"]["epoch"] == 1


def test_flags_come_from_the_run_and_a_changed_one_is_told(work, monkeypatch, capfd):
    at_batch(monkeypatch, 0, 2, interrupt)
    assert work.train("--out", "run", "--hyp", "giou=2", "--img_size", 64, "--lr0", 0.01) == 130
    capfd.readouterr()
    assert work.resume("run/last.pt", "--img_size", 64, "--lr0", "0.01", "--nosave") == 0
    assert "uninterrupted" not in capfd.readouterr().err
    assert len(work.results("run")) == 2
    assert work.resume("run/last.pt", "--epochs", 4, "--hyp", "obj=10", "--lr0", 0.001) == 0
    said = capfd.readouterr().err
    assert "going on with another --" in said
    assert all(flag in said for flag in ("--epochs", "--lr0", "--hyp"))
    assert len(work.results("run")) == 4


@pytest.mark.parametrize("flags", [("--adam",), ("--freeze", 1), ("--img_size", 96), ("--cfg", "dropout.cfg"), ("--transfer",)])
def test_what_a_checkpoint_is_made_of_cannot_change_on_the_way(work, monkeypatch, capfd, flags):
    at_batch(monkeypatch, 0, 2, interrupt)
    assert work.train("--out", "run") == 130
    before = work.bytes_of("run/last.pt")
    capfd.readouterr()
    assert work.resume("run/last.pt", *flags) == 2
    flag = "--optimizer" if flags[0] == "--adam" else flags[0]
    assert f"error: {flag}: cannot change in a training that goes on; leave it out" in capfd.readouterr().err
    assert work.bytes_of("run/last.pt") == before


def test_another_number_of_processes_is_told(work, monkeypatch, capfd):
    at_batch(monkeypatch, 0, 2, interrupt)
    assert work.train("--out", "run") == 130
    checkpoint = torch.load("run/last.pt", weights_only=True)
    checkpoint["training"]["world"] = 2
    torch.save(checkpoint, "run/last.pt")
    assert work.resume("run/last.pt") == 0
    assert "the checkpoint is of 2 processes and 1 go on" in capfd.readouterr().err


def test_a_finished_run_says_so_and_stays(work, capfd):
    assert work.train("--out", "run", epochs=1) == 0
    before = work.bytes_of("run/last.pt")
    assert work.resume("run/last.pt") == 0
    assert "run/last.pt is of a finished training: epoch 1 of 1" in capfd.readouterr().err
    assert work.bytes_of("run/last.pt") == before


def test_weights_of_a_run_begin_at_epoch_0_and_bring_their_cfg(work):
    assert work.train("--cfg", "dropout.cfg", "--out", "first") == 0
    assert work.train("--weights", "first/last.pt", "--out", "second", epochs=1) == 0
    assert [row["epoch"] for row in work.results("second")] == ["0"]
    assert work.bytes_of("second/dropout.cfg") == work.bytes_of("dropout.cfg")
    state = torch.load("second/last.pt", weights_only=True)
    assert state["training"]["progress"]["step"] == 3  # 5 batches, 2 for a step
    assert "[dropout]" in state["cfg"]


def killed(work, *flags: object, workers: int) -> None:
    """train.py in a process of its own, killed in its second epoch or later."""
    words = [str(word) for word in ("--data", "set/demo.data", "--batch-size", 4, "--threads", 1, "--tensorboard", "off",
                                    "--epochs", EPOCHS, "--workers", workers, "--out", "cut", *flags)]
    script = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        import utils.cli.training.watch as watch
        import train
        watch.draw_curves = watch.draw_gamma_history = watch.draw_layer_gammas = lambda *_: None
        show = watch.Watch.show
        def slowly(self, event):
            show(self, event)
            if type(event).__name__ == "BatchReport" and event.epoch == 1 and event.batch == 2:
                print("here", flush=True)
                time.sleep(300)
        watch.Watch.show = slowly
        raise SystemExit(train.main({words!r}))
        """)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert any(line == "here\n" for line in process.stdout), "it ended by itself"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("flags", "workers"), [
    pytest.param(VARIANTS["dropout, sparsity that tunes itself, and a window across the end"], 2),
    pytest.param(("--cfg", "tiny.cfg"), 0, marks=pytest.mark.slow),
    pytest.param(("--cfg", "dropout.cfg", "--adam", "--no-ema"), 2, marks=pytest.mark.slow),
    pytest.param(("--cfg", "tiny.cfg", "--accumulate", 3, "-sr", "--sparsity", "linear"), 1, marks=pytest.mark.slow),
])
def test_after_sigkill_in_mid_epoch_a_run_ends_with_the_same_bytes(work, flags, workers):
    """The killed process, the one that goes on and the one that was never killed are three different ones."""
    killed(work, *flags, workers=workers)
    assert (work.folder / "cut" / "last.pt").exists()
    assert not [path for path in (work.folder / "cut").iterdir() if path.suffix == ".part"]
    assert work.train(*flags, "--out", "whole", epochs=EPOCHS) == 0
    assert work.resume("cut/last.pt") == 0
    assert_same(work, "cut", "whole")


@pytest.mark.slow
def test_after_sigkill_at_any_moment_a_run_ends_with_the_same_bytes(work):
    """Killed where it happens to be, several times over."""
    assert work.train("-sr", "--out", "whole", epochs=6) == 0
    words = ["--cfg", "tiny.cfg", "--data", "set/demo.data", "--batch-size", "4", "--threads", "1", "--tensorboard", "off",
             "--epochs", "6", "-sr", "--out", "cut"]
    for pause in (0.3, 0.9, 0.1):
        process = subprocess.Popen([sys.executable, str(ROOT / "train.py"), *words], stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
        before = work.bytes_of("cut/last.pt") if (work.folder / "cut" / "last.pt").exists() else b""
        while process.poll() is None and (not (work.folder / "cut" / "last.pt").exists()
                                          or work.bytes_of("cut/last.pt") == before):
            time.sleep(0.05)
        time.sleep(pause)
        process.kill()
        process.wait()
        words = ["--resume", "cut/last.pt", "--threads", "1", "--tensorboard", "off"]
    assert work.resume("cut/last.pt") == 0
    assert_same(work, "cut", "whole")
