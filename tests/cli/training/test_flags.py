"""Every flag in a short run, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models import Darknet, get_weights, load_model
from utils.cli.training import watch
from utils.darknet import read_network, read_weights
from utils.deploy import ENGINES
from utils.deploy.verify import verify_pair

WRITE_PNG = watch.write_png  # the workplace takes it away
RUNS = {
    "cosine, cached images, no average": ("--schedule", "cosine", "--cache-images", "--no-ema"),
    "linear, adam, no augmentation, letterbox": ("--schedule", "linear", "--adam", "--no-augment", "--letterbox"),
    "the ancestor's mosaic, frozen backbone": ("--literal-mosaic", "--freeze", "backbone"),
    "literal warm-up, clipping off": ("--literal-warmup", "--clip", 0),
    "rectangles, nothing saved in between": ("--rect", "--nosave"),
    "several sizes, rare classes more often": ("--multi-scale", "--img-weights"),
    "bf16, darknet's recipe": ("--amp", "bf16", "--recipe", "darknet", "--lr0", 0.001),
    "global decay": ("-sr", "--sparsity", "global-decay", "--decay-start", 0.3, "--prune", 0),
    "local decay": ("-sr", "--sparsity", "local-decay", "--keep-percent", 0.5, "--s-bias", 0.001),
    "linear fall of s, proximal": ("-sr", "--sparsity", "linear", "--linear-final", 0.2, "--sparsity-step", "proximal"),
}


def weights_of(run: str) -> list[np.ndarray]:
    """All arrays of a run's last.weights."""
    network = read_network(next(Path(run).glob("*.cfg")))
    return [array for layer in read_weights(f"{run}/last.weights", network).layers for array in layer.values()]


@pytest.mark.parametrize("which", RUNS)
def test_each_schedule_and_way_to_train_runs(work, which, capfd):
    assert work.train(*RUNS[which], "--out", "run") == 0, capfd.readouterr().err
    rows = work.results("run")
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert all(np.isfinite(float(row["train/total"])) for row in rows)
    assert all(np.isfinite(array).all() for array in weights_of("run"))
    assert sum(float(row["s"]) > 0 for row in rows if row["s"]) == (2 if "-sr" in RUNS[which] else 0)


@pytest.mark.parametrize(("flags", "strengths"), [
    (("--sparsity", "global-decay", "--decay-factor", 0.02), [0.1, 0.1, 0.1, 0.002]),  # weak where epoch > half of 4
    (("--sparsity", "linear"), [0.1, 0.0775, 0.055, 0.0325]),
])
def test_the_strength_follows_its_schedule(work, flags, strengths):
    assert work.train("-sr", "--s", 0.1, *flags, "--out", "run", "--notest", epochs=4) == 0
    assert [float(row["s"]) for row in work.results("run")] == pytest.approx(strengths, rel=1e-4)


def test_the_step_schedule_falls_at_seven_and_nine_tenths(work):
    """The last step of each epoch, after a warm-up of one tenth of 10 epochs: lr0 up to epoch 6, a tenth, a hundredth."""
    assert work.train("--lr0", 0.01, "--out", "run", "--notest", epochs=10) == 0
    rates = [float(row["lr"]) for row in work.results("run")]
    assert rates[1:] == pytest.approx([0.01] * 6 + [0.001] * 2 + [0.0001])


@pytest.mark.parametrize(("kind", "shares"), [("linear", [1, 0.8, 0.6, 0.4]), ("cosine", [1, 0.8828, 0.6, 0.3172])])
def test_linear_and_cosine_fall_to_the_share_that_was_asked_for(work, kind, shares):
    """One step per epoch: at 0, 1/4, 1/2 and 3/4 of the way from 1 to 0.2."""
    assert work.train("--batch-size", 20, "--accumulate", 1, "--lr0", 0.01, "--schedule", kind, "--final-lr", 0.2,
                      "--warmup-epochs", 0, "--out", "run", "--notest", epochs=4) == 0
    assert [float(row["lr"]) for row in work.results("run")] == pytest.approx([0.01 * share for share in shares], rel=1e-3)


def changed_layers(run: str, seed: int = 0) -> set[int]:
    """The layers whose kernels are other than the initial ones."""
    network = read_network(f"{run}/tiny.cfg")
    before, after = (get_weights(model).layers for model in (Darknet(network, init=False).initialise(seed),
                                                             load_model(network, f"{run}/last.weights")))
    return {i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a and not np.array_equal(a["weight"], b["weight"])}


def test_frozen_layers_and_transfer_keep_what_they_say(work):
    for run, flags in (("all", ()), ("freeze", ("--freeze", 1)), ("backbone", ("--freeze", "backbone")),
                       ("transfer", ("--transfer",))):
        assert work.train(*flags, "--no-ema", "--out", run, epochs=1) == 0
    assert changed_layers("all") == {0, 1, 2}
    assert changed_layers("freeze") == {1, 2}
    assert changed_layers("backbone") == changed_layers("transfer") == {2}


def test_without_a_cfg_one_is_made_for_the_classes_and_boxes(work, capfd):
    assert work.train("--arch", "yolov3-tiny", "--width-multiple", 0.02, "--img_size", 64, "--batch-size", 8, "--notest",
                      "--out", "run", epochs=1) == 0
    assert "yolov3-tiny for 3 classes\n6 anchors for 40 boxes: mean IoU" in capfd.readouterr().err
    network = read_network("run/yolov3-tiny.cfg")
    assert {head.options.classes for head in network.heads} == {3}
    assert (network.net.width, network.net.height) == (64, 64)
    load_model("run/yolov3-tiny.cfg", "run/last.weights")


def test_runs_are_named_and_linked_from_weights(work):
    Path("weights").mkdir()
    assert work.train("--name", "mine", epochs=1) == 0
    assert {path.name for path in Path("weights").iterdir()} >= {"last.pt", "last.weights", "last_mine.weights"}
    assert Path("weights/last.pt").resolve() == Path("runs/mine/last.pt").resolve()
    assert work.train(epochs=1) == 0
    assert Path("weights/last.pt").resolve() == Path("runs/train/last.pt").resolve()
    assert Path("weights/last_mine.pt").resolve() == Path("runs/mine/last.pt").resolve()
    assert work.resume() == 0, "weights/last.pt is the last run's"


def test_nosave_and_notest_do_their_work_once(work, monkeypatch):
    from utils.training.run_folder import RunFolder

    saved, save = [], RunFolder.save
    monkeypatch.setattr(RunFolder, "save", lambda self, trainer, *a, **n: (saved.append(trainer.progress.epoch), save(self, trainer, *a, **n)))
    assert work.train("--nosave", "--notest", "--out", "run", epochs=3) == 0
    assert saved == [3]
    assert [bool(row["map50"]) for row in work.results("run")] == [False, False, True]


def test_pictures_and_a_summary_are_left_and_said(work, monkeypatch, capfd):
    monkeypatch.setattr(watch, "write_png", WRITE_PNG)
    assert work.train("-sr", "--out", "run") == 0
    for name in ("train_batch.png", "valid_detections.png"):
        assert cv2.imread(f"run/{name}") is not None
    said = capfd.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "tiny.cfg: 1472 parameters, 64x64, 5 batches of 4, on cpu; results go to run"
    assert [line.split()[0] for line in lines[1:4]] == ["epoch", "1/2", "2/2"]
    assert f"python test.py --cfg run/tiny.cfg --weights run/best.weights --data {Path('set/demo.data')}" in said.out
    assert lines[-1].startswith("python slim_prune.py --cfg run/tiny.cfg --weights run/last.weights")
    assert "set/train.txt: 19 images, 2 of them without objects, 40 boxes" in said.err


def test_tensorboard_shows_losses_metrics_s_gammas_and_pictures(work, monkeypatch):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setattr(watch, "write_png", WRITE_PNG)
    assert work.train("-sr", "--s", 0.01, "--tensorboard", "on", "--out", "run") == 0
    log = accumulator.EventAccumulator("run", size_guidance={"histograms": 0})  # all of them
    tags = log.Reload().Tags()
    assert {"lr", "train/box", "train/obj", "train/cls", "train/total", "train/l1", "metrics/precision", "metrics/recall",
            "metrics/f1", "metrics/map50", "metrics/map", "sparsity/s", "sparsity/share_1e2"} <= set(tags["scalars"])
    assert [(one.step, one.value) for one in log.Scalars("sparsity/s")] == [(0, pytest.approx(0.01)), (1, pytest.approx(0.01))]
    assert [one.step for one in log.Histograms("bn_weights/hist")] == [0, 1]
    for when in ("before", "after"):
        assert [one.step for one in log.Histograms(f"{when}_train_perlayer_bn_weights/hist")] == [0, 1], "layers"
    assert set(tags["images"]) == {"train_batch", "valid_detections"}


def test_quiet_is_quiet(work, capfd):
    assert work.train("--quiet", "--out", "run", epochs=1) == 0
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_the_printed_commands_run(work, command, capfd):
    """What a run ends with is what a user copies."""
    assert work.train("-sr", "--out", "run", epochs=1) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("python ")]
    assert len(lines) == 2
    for line in lines:
        _, script, *words = line.split()
        assert command(script)([*words, "--device", "cpu", *(["--threads", "1"] if script == "test.py" else [])]) == 0, line


@pytest.mark.skipif(ENGINES["opencv"].missing() is not None, reason=str(ENGINES["opencv"].missing()))
def test_what_was_trained_runs_in_opencv_with_the_same_numbers(work):
    """With the cfg and the weights file as they lie in the run's folder."""
    assert work.train("-sr", "--s", 0.01, "--lr0", 0.01, "--out", "run", epochs=4) == 0
    for name in ("last", "best"):
        report = verify_pair("run/tiny.cfg", f"run/{name}.weights", engines=("opencv",))
        assert report.status == "verified", report
    assert len(changed_layers("run")) == 3


def test_the_same_run_twice_gives_the_same_bytes_and_another_seed_others(work):
    for run, seed, workers in (("a", 1, 0), ("b", 1, 2), ("c", 2, 0)):
        assert work.train("--seed", seed, "--workers", workers, "--out", run, epochs=1) == 0
    assert work.bytes_of("a/last.weights") == work.bytes_of("b/last.weights")
    assert work.bytes_of("a/last.weights") != work.bytes_of("c/last.weights")


def test_a_checkpoint_is_tensors_and_plain_values(work):
    assert work.train("-sr", "--s", "auto", "--adam", "--out", "run", epochs=1) == 0

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, (str, int)) and plain(item) for key, item in value.items())
        if isinstance(value, (list, tuple)):
            return all(map(plain, value))
        return value is None or type(value) in (bool, int, float, str) or type(value) is torch.Tensor

    for name in ("last.pt", "best.pt"):
        assert plain(torch.load(f"run/{name}", weights_only=True)), name


def test_sparsity_on_an_engine_neutral_pair_is_warned_of(work, capfd):
    from utils.darknet import write_weights
    from utils.deploy import engine_neutral

    model = Darknet("tiny.cfg")
    write_weights("neutral.weights", model.network, engine_neutral(model.network, get_weights(model)))
    assert work.train("--cfg", "tiny.cfg", "--weights", "neutral.weights", "-sr", "--out", "run", "--notest", epochs=1) == 0
    assert "neutral.weights was made with --engine-neutral" in capfd.readouterr().err
