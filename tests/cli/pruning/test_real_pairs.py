"""Pairs that others trained, through the command and through OpenCV."""

from __future__ import annotations

import json

import pytest

from tests.cli.pruning.command import run
from tests.shared import SHARED, needs_shared


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
