"""slim_prune.py from the command line: what it writes, what it says, and that bad input leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import slim_prune
from models import load_model, save_checkpoint
from tests.darknet.test_network import BAD as BAD_CFGS
from tests.shared import SHARED, needs_shared
from utils.darknet import initial_weights, read_network, read_weights, write_weights
from utils.pruning import apply_plan, slim_plan

CFG = """# a comment that stays
[net]
width=64
height=64
channels=3
max_epochs=3

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=16
size=3
stride=1
pad=1
activation=mish

[shortcut]
from=-2
activation=linear

[maxpool]
size=2
stride=2

[convolutional]
filters=14
size=1
activation=linear

[yolo]
mask=0,1
anchors=8,8, 20,24
classes=2
num=2
"""


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """A cfg and weights with gammas that differ."""
    (tmp_path / "cfg").mkdir()
    (tmp_path / "weights").mkdir()
    cfg, weights = tmp_path / "cfg" / "my.cfg", tmp_path / "weights" / "last.weights"
    cfg.write_text(CFG)
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
    (folder / "my.data").write_text(f"classes=2\nvalid={folder}/valid.txt\nnames={folder}/my.names\n")
    return folder / "my.data"


def run(cfg: Path, weights: Path, *words: object) -> int:
    return slim_prune.main(["--cfg", str(cfg), "--weights", str(weights), "--repeats", "1", *map(str, words)])


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}


def test_the_new_pair_lies_beside_the_inputs_under_the_ancestors_names(pair, tmp_path, capsys):
    cfg, weights = pair
    before = everything(tmp_path)
    assert run(cfg, weights, "--global_percent", 0.5) == 0
    new = set(everything(tmp_path)) - set(before)
    assert new == {"cfg/prune_0.5_keep_0.01_my.cfg", "cfg/prune_0.5_keep_0.01_my.json",
                   "weights/prune_0.5_keep_0.01_last.weights"}
    assert all(everything(tmp_path)[name] == raw for name, raw in before.items())
    out = capsys.readouterr().out
    assert "verified against OpenCV" in out
    assert "1 padded convolutions read a removed channel's constant" in out
    assert "parameters" in out


def test_what_is_written_is_what_the_strategy_chose(pair, tmp_path):
    cfg, weights = pair
    assert run(cfg, weights, "--global_percent", 0.5, "--out", tmp_path / "out") == 0
    network = read_network(cfg)
    arrays = read_weights(weights, network)
    smaller, pruned = apply_plan(network, arrays, slim_plan(network, arrays, 0.5, 0.01))
    written = read_network(tmp_path / "out" / "prune_0.5_keep_0.01_my.cfg")
    assert written.fingerprint == smaller.fingerprint != network.fingerprint
    assert written.document.lines[0] == "# a comment that stays\n"
    assert "# max_epochs=3\n" in written.document.lines, "one Darknet aborts on keys that it does not know"
    again = read_weights(tmp_path / "out" / "prune_0.5_keep_0.01_last.weights", written)
    assert again.header.seen == 0
    for ours, theirs in zip(pruned.layers, again.layers, strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_report_holds_both_costs_the_four_ratios_and_the_verification(pair, data, tmp_path):
    assert run(*pair, "--data", data, "--global_percent", 0.4, "--out", tmp_path / "out") == 0
    facts = json.loads((tmp_path / "out" / "prune_0.4_keep_0.01_my.json").read_text())
    for side in ("before", "after"):
        assert {"map50", "map", "parameters", "gflops", "file_bytes", "latency_ms"} <= set(facts[side])
        assert facts[side]["map50"] is not None
    assert facts["before"]["parameters"] > facts["after"]["parameters"]
    assert set(facts["reached"]) == {"channels that could go", "all channels", "parameters", "GFLOPs"}
    assert facts["asked"] == {"channels that could go": 0.4}
    assert facts["verification"]["status"] == "verified"
    assert facts["after"]["file_bytes"] == os.path.getsize(tmp_path / "out" / "prune_0.4_keep_0.01_last.weights")


def test_a_dry_run_writes_the_plan_and_nothing_else(pair, tmp_path, capsys):
    assert run(*pair, "--global_percent", 0.5, "--dry-run", "--plan-out", tmp_path / "plan.json") == 0
    assert "nothing was written but the plan" in capsys.readouterr().out
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"my.cfg", "last.weights", "plan.json"}


def test_a_saved_plan_gives_the_same_pair(pair, tmp_path):
    assert run(*pair, "--global_percent", 0.5, "--out", tmp_path / "a", "--plan-out", tmp_path / "plan.json") == 0
    assert run(*pair, "--plan-in", tmp_path / "plan.json", "--out", tmp_path / "b") == 0
    for name in ("prune_0.5_keep_0.01_my.cfg", "prune_0.5_keep_0.01_last.weights"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_widths_are_multiples_where_asked(pair, tmp_path):
    assert run(*pair, "--global_percent", 0.6, "--round", 8, "--out", tmp_path / "out") == 0
    written = read_network(tmp_path / "out" / "prune_0.6_keep_0.01_round_8_my.cfg")
    assert all(layer.shape.channels % 8 == 0 for layer in written.layers[:2])


def test_an_engine_neutral_pair_has_one_variance_everywhere(pair, tmp_path):
    assert run(*pair, "--global_percent", 0.3, "--engine-neutral", "--out", tmp_path / "out") == 0
    written = read_network(tmp_path / "out" / "prune_0.3_keep_0.01_my.cfg")
    arrays = read_weights(tmp_path / "out" / "prune_0.3_keep_0.01_last.weights", written)
    assert len({float(v) for layer in arrays.layers if "var" in layer for v in layer["var"]}) == 1


def test_a_checkpoint_is_pruned_into_a_weights_file(pair, tmp_path):
    cfg, weights = pair
    save_checkpoint(tmp_path / "last.pt", load_model(cfg, weights))
    assert run(cfg, tmp_path / "last.pt", "--global_percent", 0.5, "--out", tmp_path / "a") == 0
    assert run(cfg, weights, "--global_percent", 0.5, "--out", tmp_path / "b") == 0
    name = "prune_0.5_keep_0.01_last.weights"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_output_is_ordinary_input_for_the_next_round(pair, tmp_path):
    assert run(*pair, "--global_percent", 0.3, "--out", tmp_path / "one") == 0
    assert run(tmp_path / "one" / "prune_0.3_keep_0.01_my.cfg", tmp_path / "one" / "prune_0.3_keep_0.01_last.weights",
               "--global_percent", 0.3, "--out", tmp_path / "two") == 0
    assert (tmp_path / "two" / "prune_0.3_keep_0.01_prune_0.3_keep_0.01_my.cfg").exists()


def spoiled(kind: str, cfg: Path, weights: Path, data: Path, tmp_path: Path) -> list[object]:
    """Spoil one thing; returns the words to add to the command."""
    match kind:
        case "truncated weights":
            weights.write_bytes(weights.read_bytes()[:-400])
        case "too long weights":
            weights.write_bytes(weights.read_bytes() + b"\0" * 40)
        case "empty weights":
            weights.write_bytes(b"")
        case "LFS pointer":
            weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        case "NaN in weights":
            raw = bytearray(weights.read_bytes())
            raw[40:44] = b"\xff\xff\xff\xff"
            weights.write_bytes(raw)
        case "weights are a folder":
            weights.unlink()
            weights.mkdir()
        case "no net":
            cfg.write_text(CFG.replace("[net]", "[yolo]"))
        case "heads do not fit":
            cfg.write_text(CFG.replace("classes=2", "classes=3"))
        case "percent of one":
            return ["--global_percent", 1]
        case "percent below zero":
            return ["--global_percent", -0.1]
        case "out is a file":
            (tmp_path / "file").write_text("mine")
            return ["--out", tmp_path / "file"]
        case "an output is a folder":
            (tmp_path / "out" / "prune_0.5_keep_0.01_my.cfg").mkdir(parents=True)
            return ["--out", tmp_path / "out"]
        case "missing images":
            (data.parent / "images" / "1.png").unlink()
            return ["--data", data]
        case "unreadable image":
            (data.parent / "images" / "1.png").write_bytes(b"no picture")
            return ["--data", data]
        case "label out of range":
            (data.parent / "labels" / "1.txt").write_text("0 0.5 1.5 0.1 0.1\n")
            return ["--data", data]
        case "class beyond names":
            (data.parent / "labels" / "1.txt").write_text("2 0.5 0.5 0.1 0.1\n")
            return ["--data", data]
        case "names of another network":
            (data.parent / "my.names").write_text("cat\n")
            return ["--data", data]
        case "no plan":
            (tmp_path / "plan.json").write_text("{}")
            return ["--plan-in", tmp_path / "plan.json"]
        case "plan over the cfg":
            return ["--plan-out", cfg]
        case "plan over a result":
            return ["--plan-out", weights.parent / "prune_0.5_keep_0.01_last.weights"]
        case "plan before a broken data file":
            return ["--plan-out", tmp_path / "plan.json", "--data", tmp_path / "nowhere.data"]
        case "a seed beyond all generators":
            return ["--seed", 10**20]
        case "threads beyond all machines":
            return ["--threads", 99999]
        case "a name that is too long":
            long = cfg.with_name("x" * 240 + ".cfg")
            cfg.rename(long)
            return ["--cfg", long]
        case "unknown engine":
            return ["--verify-engines", "caffe"]
    return []


BAD = {
    "truncated weights": "ends too early: layer",
    "too long weights": "holds 10 floats more",
    "empty weights": "is empty",
    "LFS pointer": "Git LFS pointer",
    "NaN in weights": "are NaN or infinite",
    "weights are a folder": "is a folder",
    "no net": "a cfg must begin with [net]",
    "heads do not fit": "give the convolution before it filters=16",
    "percent of one": "is not a share in [0, 1)",
    "percent below zero": "is not a share in [0, 1)",
    "out is a file": "file",
    "an output is a folder": "is a folder, not a file",
    "missing images": "1.png",
    "unreadable image": "1.png",
    "label out of range": "1.txt:1",
    "class beyond names": "1.txt:1",
    "names of another network": "2 classes",
    "no plan": "is JSON, but no plan",
    "plan over the cfg": "would overwrite an input",
    "plan over a result": "or another result",
    "plan before a broken data file": "nowhere.data: does not exist",
    "a seed beyond all generators": "is too large",
    "threads beyond all machines": "more threads",
    "a name that is too long": "too long",
    "unknown engine": "is no engine",
}


def test_a_plan_may_lie_in_the_new_folder(pair, tmp_path):
    assert run(*pair, "--out", tmp_path / "new", "--plan-out", tmp_path / "new" / "plan.json") == 0
    assert {p.suffix for p in (tmp_path / "new").iterdir()} == {".cfg", ".weights", ".json"}


def test_a_grey_network_is_measured_on_grey_images(pair, data, tmp_path):
    cfg, weights = pair
    cfg.write_text(CFG.replace("channels=3", "channels=1"))
    network = read_network(cfg)
    write_weights(weights, network, initial_weights(network))
    assert run(cfg, weights, "--data", data, "--global_percent", 0.5, "--out", tmp_path / "out") == 0


def test_no_staging_place_is_named_to_a_user(pair, tmp_path, capsys):
    cfg, weights = pair
    cfg.write_text(CFG.replace("activation=mish", "activation=gelu"))
    assert run(cfg, weights, "--global_percent", 0.5, "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    written = (tmp_path / "out" / "prune_0.5_keep_0.01_my.json").read_text()
    assert "OpenCV cannot run this cfg" in said.out
    assert ".bonsai-" not in said.out + said.err + written


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_ends_with_2_one_line_and_nothing_written(kind, pair, data, tmp_path, capsys):
    words = spoiled(kind, *pair, data, tmp_path)
    before = everything(tmp_path)
    assert run(*pair, "--global_percent", 0.5, *words) == 2
    said = capsys.readouterr().err
    assert BAD[kind] in said
    assert "Traceback" not in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", BAD_CFGS)
def test_a_cfg_that_cannot_be_meant_ends_with_2_and_nothing_written(name, pair, tmp_path, capsys):
    cfg, weights = pair
    text, message = BAD_CFGS[name]
    cfg.write_text(text)
    before = everything(tmp_path)
    assert run(cfg, weights) == 2
    said = capsys.readouterr().err
    assert re.search(message.replace("cfg:", "my.cfg:").replace("my.my.", "my."), said)
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert everything(tmp_path) == before


def test_a_plan_of_another_cfg_is_refused_with_the_reason(pair, tmp_path, capsys):
    cfg, weights = pair
    assert run(cfg, weights, "--dry-run", "--plan-out", tmp_path / "plan.json") == 0
    other = tmp_path / "other.cfg"
    other.write_text(CFG.replace("mish", "leaky"))
    assert run(other, weights, "--plan-in", tmp_path / "plan.json") == 2
    assert "another" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told(pair, tmp_path, capsys):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert run(*pair, "--out", tmp_path / "locked") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_behind(pair, tmp_path, capsys, monkeypatch):
    before = everything(tmp_path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert run(*pair, "--global_percent", 0.5) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_ctrl_c_in_the_middle_leaves_nothing_behind(pair, tmp_path, capsys, monkeypatch):
    before = everything(tmp_path)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("utils.deploy.measure", interrupted)
    assert run(*pair, "--global_percent", 0.5) == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_a_pair_on_which_engines_disagree_is_an_error_and_is_not_written(pair, tmp_path, capsys, monkeypatch):
    from utils.deploy.opencv import OpenCvEngine

    before = everything(tmp_path)
    honest = OpenCvEngine.heads
    monkeypatch.setattr(OpenCvEngine, "heads", lambda self, x: [head + 0.1 for head in honest(self, x)])
    assert run(*pair, "--global_percent", 0.5) == 2
    assert "OpenCV computes something else than torch" in capsys.readouterr().err
    assert everything(tmp_path) == before
    assert run(*pair, "--global_percent", 0.5, "--no-verify") == 0
    assert "not verified" in capsys.readouterr().out


@needs_shared
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("cfg", sorted(SHARED.glob("weights/*/model.cfg")), ids=lambda p: p.parent.name)
def test_real_pairs_are_pruned_and_verified_in_opencv(cfg, share, tmp_path):
    assert run(cfg, cfg.with_suffix(".weights"), "--global_percent", share, "--out", tmp_path) == 0
    facts = json.loads(next(tmp_path.glob("*.json")).read_text())
    (engine,) = facts["verification"]["engines"]
    assert (engine["engine"], engine["status"]) == ("opencv", "verified")
    assert engine["relative"] < 1e-5
    assert facts["after"]["parameters"] < facts["before"]["parameters"]


@needs_shared
def test_a_coco_pair_runs_through_with_labelled_coco_images_in_one_command(tmp_path, capsys):
    images = SHARED / "datasets" / "coco128-train2017"
    listed = (images / "train.txt").read_text().split()[:16]
    (tmp_path / "few.txt").write_text("".join(f"{images / name}\n" for name in listed))
    (tmp_path / "coco.data").write_text(f"classes=80\nvalid={tmp_path}/few.txt\nnames={images}/names.txt\n")
    cfg = SHARED / "weights" / "yolo-fastest-1.1-coco" / "model.cfg"
    assert run(cfg, cfg.with_suffix(".weights"), "--data", tmp_path / "coco.data", "--global_percent", 0.1,
               "--out", tmp_path / "out") == 0
    assert "mAP@0.5" in capsys.readouterr().out
