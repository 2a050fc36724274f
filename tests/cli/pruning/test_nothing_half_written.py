"""Bad input, full disks, Ctrl-C and engines that disagree: one line, and nothing left behind."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.pruning.command import CFG, everything, run
from tests.darknet.test_network import BAD as BAD_CFGS


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


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_ends_with_2_one_line_and_nothing_written(kind, pair, data, tmp_path, capsys):
    words = spoiled(kind, *pair, data, tmp_path)
    before = everything(tmp_path)
    assert run(*pair, "--global_percent", 0.5, *words) == 2
    said = capsys.readouterr().err
    assert BAD[kind] in said
    assert "Traceback" not in said
    *remarks, last = said.splitlines()
    assert last.startswith("error: ")
    assert all(re.match("warning: (this network was hardly trained with sparsity|.*left out$|.*images were wanted)", remark)
               for remark in remarks)
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


def test_no_staging_place_is_named_to_a_user(pair, tmp_path, capsys):
    cfg, weights = pair
    cfg.write_text(CFG.replace("activation=mish", "activation=gelu"))
    assert run(cfg, weights, "--global_percent", 0.5, "--out", tmp_path / "out") == 0
    said = capsys.readouterr()
    written = (tmp_path / "out" / "prune_0.5_keep_0.01_my.json").read_text()
    assert "OpenCV cannot run this cfg" in said.out
    assert ".bonsai-" not in said.out + said.err + written


@pytest.mark.parametrize(("flag", "place", "message"), [
    ("--out", "file", "is a file, not a folder"),
    ("--out", "file/below", "is a file, not a folder"),
    ("--report", "folder", "is a folder, not a file"),
    ("--plan-out", "folder", "is a folder, not a file"),
])
def test_a_place_that_cannot_be_is_told_before_anything_is_cut(flag, place, message, pair, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    before = everything(tmp_path)
    assert run(*pair, "--sweep", "0.1:0.5:0.2", "--no-verify", flag, tmp_path / place) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""  # neither sweep nor widths
    assert everything(tmp_path) == before
