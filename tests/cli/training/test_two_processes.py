"""Two processes over gloo against one: the same gammas, one who writes, and an evaluation of which each does a half."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np
import pytest

from models import load_model
from utils.darknet import read_network, read_weights
from utils.datasets import DetectionDataset
from utils.training.distributed import Processes
from utils.training.validation import Validation

ROOT = Path(__file__).resolve().parents[3]
COMMON = ["--cfg", "tiny.cfg", "--data", "set/demo.data", "--threads", "1", "--workers", "0", "--tensorboard", "off",
          "--device", "cpu", "--no-augment", "--lr0", "0.02", "--no-ema"]


def two(*commands: list[str], interrupted_at: Sequence[tuple[int, int] | None] = ()) -> list[tuple[str, str]]:
    """What two processes, started as torchrun starts them, say on stdout and stderr. Pictures are not drawn.

    Several commands are run one after the other in the same two processes, each when the main process is done with the
    one before. interrupted_at: for each the (epoch, batch) behind which the main process, and only that, gets a Ctrl-C;
    None or nothing: it ends by itself.
    """
    stops = [*interrupted_at, *[None] * (len(commands) - len(interrupted_at))]
    plan = [(words, stop, port) for words, stop, port in zip(commands, stops, free_ports(len(commands)), strict=True)]
    script = textwrap.dedent(f"""
        import os, pathlib, signal, sys, time
        sys.path.insert(0, {str(ROOT)!r})
        import utils.cli.training.watch as watch
        import train
        watch.draw_curves = watch.draw_gamma_history = watch.draw_layer_gammas = watch.write_png = lambda *_: None
        show = watch.Watch.show
        def stopping(self, event):
            show(self, event)
            if type(event).__name__ == "BatchReport" and (event.epoch, event.batch) == stop:
                os.kill(os.getpid(), signal.SIGINT)
        watch.Watch.show = stopping
        for words, stop, port in {plan!r}:
            os.environ["MASTER_PORT"] = str(port)
            try:
                code = train.main(words)
            finally:
                done = pathlib.Path(f"done with {{port}}")
                if os.environ["RANK"] == "0":
                    done.touch()
            while not done.exists():
                time.sleep(0.01)
            if code != (130 if stop else 0):
                raise SystemExit(code or "was not interrupted")
        """)
    running = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
                                     "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"})
               for rank in range(2)]
    try:
        said = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], said
    return said


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def gammas(run: str) -> np.ndarray:
    """Of a run's last.weights, one after the other."""
    weights = read_weights(f"{run}/last.weights", read_network(f"{run}/tiny.cfg"))
    return np.concatenate([layer["gamma"] for layer in weights.layers if "gamma" in layer])


def list_of_one_picture() -> None:
    """set/same.data: 16 copies of one picture, so that every batch, of whatever size, gives a batch norm the same numbers."""
    for number in range(16):
        shutil.copy("set/images/0001.png", f"set/images/same{number}.png")
        shutil.copy("set/labels/0001.txt", f"set/labels/same{number}.txt")
    Path("set/same.txt").write_text("".join(f"images/same{number}.png\n" for number in range(16)))
    Path("set/same.data").write_text(Path("set/demo.data").read_text().replace("train.txt", "same.txt"))


def in_steps_of_8(size: int, accumulate: int, out: str, *flags: str, s: str = "0.05") -> list[str]:
    """The words for two epochs of two steps each."""
    return [*COMMON, "--data", "set/same.data", "--epochs", "2", "-sr", "--s", s, "--batch-size", str(size),
            "--accumulate", str(accumulate), "--out", out, *flags]


def compare_with_one(work, *flags: str) -> None:
    """What two processes with batches of 4 left in both/, with a single one: in batches of 8, and in 4 batches of 2."""
    for run, size, accumulate in (("one", 8, 1), ("four", 2, 4)):
        assert work.main(in_steps_of_8(size, accumulate, run, *flags)) == 0
        np.testing.assert_allclose(gammas("both"), gammas(run), rtol=0, atol=5e-6)
    assert work.main(in_steps_of_8(8, 1, "free", *flags, s="0")) == 0
    assert np.abs(gammas("free") - gammas("one")).min() > 1e-5, "s has an effect on each of them, more than they may differ"


def assert_figures_are_those_of_the_weights(work, run: str) -> None:
    """The last row of results.csv is what a single process measures with last.weights."""
    names = ("circle", "square", "triangle")
    model = load_model(f"{run}/tiny.cfg", f"{run}/last.weights")
    check = Validation(DetectionDataset.read("set/valid.txt", names), model.network, names, letterbox=False, rect=False,
                       batch_size=4, workers=0, processes=Processes(), bar=lambda *_: nullcontext(lambda _: None))
    figures, row = check(model), work.results(run)[-1]
    for name, value in figures.items():
        assert float(row[name]) == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_two_processes_press_gammas_as_one_share_the_evaluation_and_one_writes_and_speaks(work):
    list_of_one_picture()
    (out, err), (other_out, other_err) = two(in_steps_of_8(4, 1, "both"))
    assert "2 batches of 4, on cpu" in out
    assert "Warning" not in err
    assert (other_out, other_err) == ("", "")
    assert {path.name for path in Path("both").iterdir()} == {
        "last.pt", "last.weights", "best.pt", "best.weights", "results.csv", "gammas.npz", "tiny.cfg"}
    compare_with_one(work)
    assert_figures_are_those_of_the_weights(work, "both")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--recipe", "darknet", "--lr0", "0.001"), ("--sparsity-step", "proximal"), ("--adam",)])
def test_two_processes_press_gammas_as_one_does_in_other_recipes(work, flags):
    list_of_one_picture()
    two(in_steps_of_8(4, 1, "both", *flags))
    compare_with_one(work, *flags)


@pytest.mark.slow
def test_torchrun_itself_starts_them_and_each_may_see_other_images(work):
    """Their batch norms then have seen different numbers; those of rank 0 are saved, and used by all in the evaluation."""
    words = [*COMMON, "--epochs", "12", "--batch-size", "4", "--accumulate", "1", "--out", "both"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(ROOT / "train.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert len(work.results("both")) == 12
    assert float(work.results("both")[-1]["map50"]) > 0, "something was found, so that something can differ"
    assert_figures_are_those_of_the_weights(work, "both")
