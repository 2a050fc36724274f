"""What a training goes on in spite of, or ends well from: it is told once, and what was learned stays."""

from __future__ import annotations

import errno
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import torch

from utils.datasets import label_cache
from utils.detection import DetectionLoss


def test_class_ids_that_are_too_large_are_told_once_with_their_line_and_left_out(work, capfd):
    labels = Path("set/labels/0001.txt")
    labels.write_text(labels.read_text() + "7 0.5 0.5 0.1 0.1\n")
    number = len(labels.read_text().splitlines())
    assert work.train("--out", "run") == 0
    said = capfd.readouterr().err
    assert said.count(f"labels/0001.txt:{number}") == 1
    assert "the class id 7 is too large" in said


def test_an_image_for_the_evaluation_that_is_cut_off_is_told_once_and_left_out(work, capfd):
    path = Path("set") / Path("set/valid.txt").read_text().split()[0].removeprefix("set/")
    path.write_bytes(path.read_bytes()[:200])
    assert work.train("--out", "run") == 0
    said = capfd.readouterr().err
    assert said.count(path.name) == 1
    assert work.train("--strict", "--out", "strict") == 2
    assert path.name in capfd.readouterr().err


def test_images_for_the_evaluation_without_a_label_are_told(work, capfd):
    for line in Path("set/valid.txt").read_text().split():
        (Path("set/labels") / Path(line).with_suffix(".txt").name).write_text("")
    assert work.train("--out", "run") == 0
    assert "set/valid.txt: there are no labels beside its 5 images, so no epoch will have an mAP" in capfd.readouterr().err
    assert not Path("run/best.weights").exists()


def test_a_label_cache_of_another_version_is_made_again(work, monkeypatch):
    assert work.train("--out", "first", epochs=1) == 0
    caches = sorted(Path("set").glob("*.bonsai-cache.npz"))
    assert [cache.name.partition(".")[0] for cache in caches] == ["train", "valid"]
    whole = caches[0].read_bytes()
    monkeypatch.setattr(label_cache, "_VERSION", label_cache._VERSION + 1)
    assert work.train("--out", "second", epochs=1) == 0
    assert caches[0].read_bytes() != whole
    with zipfile.ZipFile(caches[0], "w") as damaged:
        damaged.writestr("rows.npy", b"nonsense")
    assert work.train("--out", "third", epochs=1) == 0
    weights = {work.bytes_of(f"{run}/last.weights") for run in ("first", "second", "third")}
    assert len(weights) == 1


def test_a_disk_that_fills_up_in_the_second_epoch_leaves_the_first_and_a_way_on(work, monkeypatch, capfd):
    assert work.train("--out", "whole") == 0
    from utils.cli.training.watch import Watch
    from utils.training.events import EpochReport

    show, fsync = Watch.show, os.fsync

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    def watched(self, event):
        if isinstance(event, EpochReport) and event.epoch == 1:
            monkeypatch.setattr("utils.atomic.os.fsync", full)
        show(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "show", watched)
        assert work.train("--out", "run") == 2
    monkeypatch.setattr("utils.atomic.os.fsync", fsync)
    assert "No space left on device" in capfd.readouterr().err
    assert torch.load("run/last.pt", weights_only=True)["training"]["progress"]["epoch"] == 1
    assert not [path for path in Path("run").iterdir() if path.suffix == ".part"]
    assert work.resume("run/last.pt") == 0
    assert work.bytes_of("run/last.weights") == work.bytes_of("whole/last.weights")


def test_a_loss_that_is_no_number_ends_with_the_last_good_checkpoint(work, monkeypatch, capfd):
    real, calls = DetectionLoss.__call__, []

    def poisoned(self, *words):
        calls.append(True)
        parts = real(self, *words)
        return replace(parts, box=parts.box * float("nan")) if len(calls) > 7 else parts  # in the second of 5 batches each

    with monkeypatch.context() as patch:
        patch.setattr(DetectionLoss, "__call__", poisoned)
        assert work.train("--out", "run", epochs=9) == 2
    said = capfd.readouterr()
    assert said.err.splitlines()[-1] == ("error: epoch 8: loss or gradient were no numbers in 20 steps in a row; lower --lr0 "
                                         "or --s and go on from the last checkpoint, which is from before")
    assert "skipped 2" in said.out
    assert len(work.results("run")) == 7
    for name in ("last.pt", "best.pt"):
        assert all(torch.isfinite(value).all() for value in torch.load(f"run/{name}", weights_only=True)["model"].values())
    assert work.resume("run/last.pt", "--epochs", 9) == 0
    assert len(work.results("run")) == 9
