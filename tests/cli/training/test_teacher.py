"""train.py with a teacher: what runs, what it writes, how it goes on, and what a user may get wrong."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from models import load_model
from tests.cli.training.conftest import cfg
from tests.cli.training.test_resume import Crash, assert_same, at_batch, crash, interrupt
from tests.cli.training.test_two_processes import COMMON, list_of_one_picture, two
from utils.cli.training.teacher_arguments import WEIGHTS
from utils.darknet import read_network, read_weights
from utils.darknet.builder import build_cfg
from utils.distillation import METHODS

TEACHER = ("--t_cfg", "wide.cfg", "--t_weights", "wide.weights")
ALL = ",".join(METHODS)


@pytest.fixture
def taught(work):
    """The workplace with wide.cfg + wide.weights, a teacher that nobody trained."""
    Path("wide.cfg").write_text(cfg().replace("filters=12", "filters=20"))
    weights_of("wide.cfg", "wide.weights")
    return work


def weights_of(cfg: str, path: str, seed: int = 5) -> None:
    from models import Darknet, save_weights

    save_weights(Darknet(cfg, init=False).initialise(seed), path)


def test_flags_know_the_methods_of_the_library():
    assert tuple(WEIGHTS) == tuple(METHODS)


@pytest.mark.parametrize("methods", [None, *METHODS, "detection,cwd", ALL])
def test_each_method_runs_is_told_and_leaves_an_ordinary_pair(taught, methods):
    flags = () if methods is None else ("--distill", methods)
    assert taught.train(*TEACHER, *flags, "--out", "run", epochs=1) == 0
    row = taught.results("run")[0]
    parts = {"detection": ("classes", "boxes"), "ast": ("ast_classes", "ast_objectness", "ast_boxes")}
    expected = [part for name in (methods or "detection").split(",") for part in parts.get(name, (name,))]
    assert [name[len("train/kd_"):-len("_raw")] for name in row if name.endswith("_raw")] == expected
    for part in expected:
        assert float(row[f"train/kd_{part}_raw"]) > 0
    assert float(row["train/soft"]) == pytest.approx(sum(float(row[f"train/kd_{part}"]) for part in expected), rel=1e-3)
    network = read_network("run/tiny.cfg")
    assert Path("run/tiny.cfg").read_bytes() == Path("tiny.cfg").read_bytes()
    assert Path("run/last.weights").stat().st_size == 20 + 4 * network.parameters
    model = load_model("run/tiny.cfg", "run/best.pt")
    for layer, arrays in zip(model.layers, read_weights("run/last.weights", network).layers, strict=True):
        if "weight" in arrays:
            np.testing.assert_array_equal(layer.weight.detach().numpy(), arrays["weight"])


def test_the_console_tells_what_the_teacher_does(taught, capfd):
    assert taught.train(*TEACHER, "--distill", "detection,cwd", "--out", "run", epochs=2) == 0
    said = capfd.readouterr()
    assert "teacher wide.weights, " in said.err
    assert "parameters: detection x 1, cwd x 10; maps 1:1" in said.err
    assert said.err.count("the teacher's part of the loss, over the detection loss: classes ") == 1
    assert "soft" in said.out
    assert "teacher, cwd over the detection loss" in said.out
    assert "boxes worse than the teacher's" in said.out


def test_tensorboard_gets_every_part(taught):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert taught.train(*TEACHER, "--tensorboard", "on", "--out", "run", epochs=1) == 0
    log = reader.EventAccumulator("run").Reload()
    tags = {f"train/kd_{part}{ending}" for part in ("classes", "boxes") for ending in ("_raw", "", "_ratio")}
    assert tags | {"train/soft", "train/rratio"} <= set(log.Tags()["scalars"])


@pytest.mark.parametrize("flags", [
    ("--distill", "detection,mgd,cwd", "--cfg", "dropout.cfg"),
    ("--distill", ALL, "--accumulate", 3, "--amp", "bf16", "-sr", "--distill-schedule", "cosine", "--multi-scale"),
    ("--distill", "mgd", "--distill-start", 2, "--distill-layers", "0:0,1:1", "--adam", "--no-ema"),
])
def test_after_a_crash_a_taught_run_ends_as_if_nothing_had_happened(taught, monkeypatch, flags):
    assert taught.train(*TEACHER, *flags, "--out", "whole", epochs=3) == 0
    at_batch(monkeypatch, 1, 2, crash)
    with pytest.raises(Crash):
        taught.train(*TEACHER, *flags, "--out", "cut", epochs=3)
    assert taught.resume("cut/last.pt") == 0
    assert_same(taught, "cut", "whole")
    assert torch.load("cut/last.pt", weights_only=True)["training"]["distillation"]


def test_another_teacher_cannot_come_in_on_the_way(taught, monkeypatch, capfd):
    at_batch(monkeypatch, 1, 0, crash)
    with pytest.raises(Crash):
        taught.train(*TEACHER, "--out", "run")
    assert taught.resume("run/last.pt", "--distill", "l2") == 2
    assert "--distill: cannot change in a training that goes on" in capfd.readouterr().err


def test_a_cached_teacher_teaches_the_same_and_is_asked_once(taught, monkeypatch):
    from utils.distillation import Teacher

    asked, computed = [], Teacher._computed
    monkeypatch.setattr(Teacher, "_computed", lambda self, images: asked.append(len(images)) or computed(self, images))
    flags = (*TEACHER, "--distill", "detection,cwd", "--no-augment")
    assert taught.train(*flags, "--out", "asked") == 0
    assert sum(asked) == 2 * 19
    asked.clear()
    assert taught.train(*flags, "--cache-teacher", "answers", "--out", "first") == 0
    assert sum(asked) == 19
    asked.clear()
    assert taught.train(*flags, "--cache-teacher", "answers", "--out", "second") == 0
    assert not asked
    assert taught.bytes_of("first/last.weights") == taught.bytes_of("second/last.weights")
    one, other = (read_weights(f"{run}/last.weights", read_network("tiny.cfg")) for run in ("asked", "first"))
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        for name in ours:
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)


def cut_by(command, share: str) -> tuple[str, ...]:
    """--cfg and --weights of what a plan, SHARE.json, leaves of the teacher."""
    assert command("slim_prune.py")(["--cfg", "wide.cfg", "--weights", "wide.weights", "--data",
                                     "set/demo.data", "--global_percent", share, "--plan-out", f"{share}.json", "--out", share,
                                     "--repair", "none", "--threads", "1"]) == 0
    (cfg,), (weights,) = (list(Path(share).glob(f"*.{ending}")) for ending in ("cfg", "weights"))
    return "--cfg", str(cfg), "--weights", str(weights)


def test_a_pruned_student_is_compared_channel_by_channel(taught, command, capfd):
    student = cut_by(command, "0.3")
    flags = (*student, *TEACHER, "--distill", "mimic,cwd", "--distill-plan", "0.3.json")
    capfd.readouterr()
    assert taught.train(*flags, "--out", "run", epochs=1) == 0
    assert "surviving channels one by one" in capfd.readouterr().err
    assert not torch.load("run/last.pt", weights_only=True)["training"]["distillation"]["adaptors"], "no adaptor is learned"
    assert taught.train(*(flags[:-2]), "--out", "other", epochs=1) == 0
    assert torch.load("other/last.pt", weights_only=True)["training"]["distillation"]["adaptors"]


def with_two_processes(work, *flags: str) -> tuple[str, list[dict[str, np.ndarray]], list[dict[str, np.ndarray]]]:
    """What they say, and the arrays of two epochs in both ways: two processes with batches of 4, one with batches of 8."""
    list_of_one_picture()

    def words(size: int, out: str) -> list[str]:
        return [*COMMON, "--data", "set/same.data", "--epochs", "2", "--batch-size", str(size), "--accumulate", "1", "--out",
                out, *TEACHER, *flags]

    (_, err), _ = two(words(4, "both"))
    assert work.main(words(8, "one")) == 0
    network = read_network("tiny.cfg")
    both, one = (read_weights(f"{run}/last.weights", network).layers for run in ("both", "one"))
    return err, both, one


def test_two_processes_with_a_teacher_end_as_one_does(taught):
    """Means over images; the ancestor's box term is a sum, so it grows with the batch of a process."""
    err, both, one = with_two_processes(taught, "--distill", "hinton,cwd", "--hinton-weight", "0.05", "--cwd-weight", "1")
    assert "Warning" not in err
    for ours, theirs in zip(one, both, strict=True):
        for name in set(ours) - {"mean", "var"}:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-4, err_msg=name)


def test_two_processes_whose_adaptors_rest_in_some_epochs(taught):
    _, both, _ = with_two_processes(taught, "--distill", "detection,mimic", "--distill-stop", "1")
    assert all(np.isfinite(array).all() for arrays in both for array in arrays.values())


def test_two_processes_with_a_cached_teacher_go_on_as_if_nothing_had_happened(taught):
    """19 pictures for two: one is seen by both, and each answer is kept once. Only the main process gets the Ctrl-C."""
    def words(out: str) -> list[str]:
        return [*COMMON, "--epochs", "2", "--batch-size", "4", "--accumulate", "1", "--out", out, *TEACHER,
                "--distill", "detection,mgd,cwd", "--cache-teacher", f"answers of {out}"]

    two(words("whole"), words("cut"), ["--resume", "cut/last.pt", "--threads", "1", "--workers", "0", "--tensorboard", "off",
                                       "--device", "cpu"], interrupted_at=(None, (1, 0)))
    assert_same(taught, "cut", "whole")
    assert torch.load("cut/last.pt", weights_only=True)["training"]["distillation"]["adaptors"]
    for run in ("whole", "cut"):
        kept = [path for path in Path(f"answers of {run}").rglob("*") if path.is_file()]
        assert len(kept) == 19
        assert all(path.suffix == ".pt" for path in kept), "nothing half-written"


# -- what a user may get wrong ----------------------------------------------------------------------------------------

def other_teacher(*changes: str) -> None:
    """wide.cfg with changes, old and new in turn, and weights for it."""
    text = Path("wide.cfg").read_text()
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    Path("wide.cfg").write_text(text)
    weights_of("wide.cfg", "wide.weights")


def of_other_classes() -> None:
    other_teacher("classes=3", "classes=2", "filters=24", "filters=21")


def without_a_head_of_that_stride() -> None:
    other_teacher("filters=20\nsize=3\nstride=4", "filters=20\nsize=3\nstride=2")


def of_other_channels() -> None:
    other_teacher("channels=3", "channels=1")


def with_a_prefix_of_weights() -> None:
    data = Path("wide.weights").read_bytes()
    Path("wide.weights").write_bytes(data[:20 + 4 * (4 * 8 + 8 * 27)])


WRONG = {
    "other classes": (of_other_classes, (), ("classes=3, the teacher's", "classes=2")),
    "other anchors": (lambda: other_teacher("20,20", "21,20"), (), ("the anchors 12x12, 20x20", "21x20")),
    "another decoding": (lambda: other_teacher("num=3", "num=3\nscale_x_y=1.2"), (), ("scale_x_y=1, the teacher's", "1.2")),
    "another stride": (without_a_head_of_that_stride, (), ("a cell per 16 pixels", "heads with 8")),
    "another stride, compared by maps": (without_a_head_of_that_stride, ("--distill", "cwd"), ("a cell per 16 pixels",)),
    "images of other channels": (of_other_channels, (), ("reads images of 1 channels",)),
    "a prefix": (with_a_prefix_of_weights, (), ("wide.weights",)),
    "no such weights": (lambda: os.remove("wide.weights"), (), ("wide.weights",)),
    "no such cfg": (lambda: os.remove("wide.cfg"), (), ("wide.cfg",)),
    "a layer that there is not": (None, ("--distill", "cwd", "--distill-layers", "9:1"), ("no layer 9",)),
    "layers of two sizes": (None, ("--distill", "cwd", "--distill-layers", "0:1"), ("16x16", "4x4")),
    "a head as a layer": (None, ("--distill", "mgd", "--distill-layers", "3:3"), ("is a head and gives no map",)),
    "no pair of layers": (None, ("--distill", "cwd", "--distill-layers", "3"), ("write STUDENT:TEACHER",)),
    "an unknown method": (None, ("--distill", "detection,magic"), ("'magic' is no method; choose from hinton",)),
    "layers for heads": (None, ("--distill-layers", "0:0"), ("--distill-layers: would change nothing: it is for mimic, mgd, cwd, and --distill is detection",)),
    "a weight of another method": (None, ("--cwd-weight", "3"), ("--cwd-weight", "would change nothing")),
    "a negative weight": (None, ("--detection-weight", "-1"), ("write 0 or more",)),
    "a cache with augmentation": (None, ("--cache-teacher",), ("add --no-augment",)),
    "a plan that is none": (None, ("--distill", "cwd", "--distill-plan", "tiny.cfg"), ("tiny.cfg", "is not JSON")),
    "near objects without mimic": (None, ("--mimic-near",), ("add mimic to --distill",)),
    "it starts behind the end": (None, ("--distill-start", "5"), ("lies behind the last of --epochs 2",)),
    "everything that is compared is frozen": (None, ("--distill", "cwd", "--transfer"), ("all before it are frozen",)),
    "a share of a weight that does not fall": (None, ("--distill-final", "0.5"), ("the weight does not fall",)),
    "a temperature for nothing": (None, ("--distill", "l2", "--cwd-temperature", "2"), ("it is for cwd",)),
    "a schedule for nothing": (None, ("--distill-map-schedule", "linear"), ("it is for mimic, mgd, cwd",)),
    "a cache beside a folder that is not empty": (
        lambda: Path("run").mkdir() or Path("run/file").write_text(""), ("--no-augment", "--cache-teacher", "answers"),
        ("run", "is not empty")),
    "it stops before it starts": (None, ("--distill-start", "3", "--distill-stop", "2"), ("--distill-start 3",)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_teacher_that_does_not_fit_is_one_line_and_nothing_is_written(taught, capfd, what):
    change, flags, said = WRONG[what]
    if change:
        change()
    before = taught.files()
    assert taught.train(*TEACHER, *flags, "--out", "run") == 2
    error = [line for line in capfd.readouterr().err.splitlines() if "error:" in line]
    assert len(error) == 1
    for part in said:
        assert part in error[0]
    assert taught.files() == before


@pytest.mark.parametrize(("flags", "said"), [
    (("--t_cfg", "wide.cfg"), "--t_weights: is missing"),
    (("--t_weights", "wide.weights"), "--t_cfg: is missing"),
    (("--distill", "cwd"), "--distill: would change nothing: there is no teacher"),
    (("--cwd-weight", "3"), "--cwd-weight: would change nothing: there is no teacher"),
    (("--mimic-near",), "--mimic-near: would change nothing: there is no teacher"),
    (("--distill-schedule", "linear"), "--distill-schedule: would change nothing: there is no teacher"),
])
def test_half_a_teacher(taught, capfd, flags, said):
    assert taught.train(*flags, "--out", "run") == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize("copied", [False, True])
def test_a_student_cannot_teach_itself(taught, capfd, copied):
    weights_of("tiny.cfg", "tiny.weights")
    other = "copy.weights" if copied else "tiny.weights"
    if copied:
        shutil.copy("tiny.weights", other)
    code = taught.train("--weights", "tiny.weights", "--t_cfg", "tiny.cfg", "--t_weights", other, "--out", "run")
    assert code == 2
    assert "the student starts from" in capfd.readouterr().err


def test_a_checkpoint_as_teacher_brings_its_cfg_and_other_sizes_are_told(taught, capfd):
    Path("wide.cfg").write_text(Path("wide.cfg").read_text().replace("=64", "=96"))
    weights_of("wide.cfg", "wide.weights")
    assert taught.train("--cfg", "wide.cfg", "--out", "teacher", epochs=1) == 0
    capfd.readouterr()
    assert taught.train("--t_weights", "teacher/last.pt", "--out", "run", epochs=1) == 0
    assert "the teacher (96x96 in its cfg) sees the student's 64x64" in capfd.readouterr().err


def test_a_checkpoint_of_the_same_network_cannot_teach_it_either(taught, capfd):
    assert taught.train("--out", "first", epochs=1) == 0
    assert taught.train("--cfg", "tiny.cfg", "--weights", "first/last.weights", "--t_weights", "first/last.pt", "--out", "run") == 2
    assert "holds the very network that the student starts from" in capfd.readouterr().err


def test_a_plan_that_did_not_make_the_student(taught, command, capfd):
    cut_by(command, "0.3")
    student = cut_by(command, "0.6")
    capfd.readouterr()
    assert taught.train(*student, *TEACHER, "--distill", "cwd", "--distill-plan", "0.3.json", "--out", "r") == 2
    assert "--distill-plan: 0.3.json is not of this pair: 0.6/prune_0.6_keep_0.01_wide.cfg has convolutions of" in capfd.readouterr().err


def test_a_plan_of_another_teacher(taught, command, capfd):
    student = cut_by(command, "0.6")
    other_teacher("filters=20\nsize=3\nstride=4\npad=1\nactivation=leaky", "filters=20\nsize=3\nstride=4\npad=1\nactivation=mish")
    capfd.readouterr()
    assert taught.train(*student, *TEACHER, "--distill", "cwd", "--distill-plan", "0.6.json", "--out", "r") == 2
    assert "--distill-plan: 0.6.json is not of this pair: wide.cfg is not the network that this plan was made for" in capfd.readouterr().err


def test_a_plan_that_keeps_equally_many_other_channels_is_told_and_not_when_a_run_goes_on(taught, command, monkeypatch, capfd):
    student = cut_by(command, "0.6")
    text = json.loads(Path("0.6.json").read_text())
    for keep in text["keep"].values():
        keep["channels"] = sorted((channel + 5) % keep["filters"] for channel in keep["channels"])
    Path("other.json").write_text(json.dumps(text))
    capfd.readouterr()
    flags = (*student, *TEACHER, "--distill", "cwd")
    assert taught.train(*flags, "--distill-plan", "other.json", "--out", "doubtful", epochs=1) == 0
    doubt = "the student's filters hardly resemble those that other.json keeps of the teacher's (mean cosine"
    assert doubt in capfd.readouterr().err
    at_batch(monkeypatch, 1, 2, interrupt)
    assert taught.train(*flags, "--distill-plan", "0.6.json", "--out", "right") == 130
    assert taught.resume("right/last.pt") == 0
    assert "hardly resemble" not in capfd.readouterr().err


def test_distill_may_be_said_twice(taught):
    assert taught.train(*TEACHER, "--distill", "l2", "--distill", "cwd,l2", "--out", "run", epochs=1) == 0
    assert {"train/kd_l2", "train/kd_cwd"} <= set(taught.results("run")[0])


def test_distill_may_be_said_again_when_a_run_goes_on_if_it_is_the_same(taught, monkeypatch, capfd):
    flags = (*TEACHER, "--distill", "l2,cwd")
    at_batch(monkeypatch, 1, 0, interrupt)
    assert taught.train(*flags, "--out", "run") == 130
    assert taught.resume("run/last.pt", "--distill", "l2") == 2, "not l2 beside what it had"
    assert "--distill: cannot change in a training that goes on" in capfd.readouterr().err
    assert taught.resume("run/last.pt", "--distill", "l2", "--distill", "cwd") == 0
    assert "uninterrupted" not in capfd.readouterr().err


def test_a_teacher_that_cannot_take_every_size_is_told_before_the_training(taught, capfd):
    """Its stride of 64 does not divide what --multi-scale brings around 192."""
    deep = Path("wide.cfg").read_text().replace("=64", "=192") + "\n[route]\nlayers=1\n" + "\n".join(
        "[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n" for _ in range(2)) + \
        "\n[upsample]\nstride=4\n\n[route]\nlayers=-1,1\n\n[convolutional]\nfilters=24\nsize=1\nactivation=linear\n" \
        "\n[yolo]\nmask=0,1,2\nanchors=12,12, 20,20, 32,32\nclasses=3\nnum=3\n"
    Path("wide.cfg").write_text(deep)
    weights_of("wide.cfg", "wide.weights")
    before = taught.files()
    code = taught.train(*TEACHER, "--img_size", 192, "--multi-scale", "--accumulate", 1, "--out", "run")
    assert code == 2
    assert "the teacher cannot take the " in capfd.readouterr().err
    assert taught.files() == before


def test_maps_can_be_compared_with_a_teacher_of_other_classes(taught):
    of_other_classes()
    assert taught.train(*TEACHER, "--distill", "cwd", "--out", "run", epochs=1) == 0


def test_imitation_near_objects(taught):
    assert taught.train(*TEACHER, "--distill", "mimic", "--mimic-near", "--out", "run", epochs=1) == 0
    assert taught.train(*TEACHER, "--distill", "mimic", "--mimic-near", "--distill-layers", "0:0", "--out", "no") == 2


def test_yolov4_teaches_yolov4_tiny_in_an_ordinary_training(work):
    """Three heads and two: the maps before those with a cell per 32 and per 16 pixels are compared; anchors are others."""
    Path("big.cfg").write_text(build_cfg("yolov4", classes=3, width=64, height=64, width_multiple=0.06))
    Path("small.cfg").write_text(build_cfg("yolov4-tiny", classes=3, width=64, height=64, width_multiple=0.25))
    weights_of("big.cfg", "big.weights")
    teacher = ("--cfg", "small.cfg", "--t_cfg", "big.cfg", "--t_weights", "big.weights")
    assert work.train(*teacher, "--out", "no", epochs=1) == 2, "heads with other anchors"
    assert work.train(*teacher, "--distill", "cwd,mimic", "--amp", "bf16", "--accumulate", 2, "--out", "run", epochs=1) == 0
    row = work.results("run")[0]
    assert float(row["train/kd_cwd_raw"]) > 0
    assert float(row["train/kd_mimic_raw"]) > 0
