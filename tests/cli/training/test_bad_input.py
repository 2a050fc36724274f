"""What a user may get wrong with train.py: one line that names the place and the way out, code 2, and nothing written."""

from __future__ import annotations

import errno
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from utils.datasets import label_cache
from utils.detection import DetectionLoss

CASES: dict[str, tuple[Callable, tuple[str, ...]]] = {}  # what is wrong -> (how to make it so, parts of the message)


def case(*messages: str):
    """Register a way to go wrong; the function's name says which."""
    def register(function: Callable) -> Callable:
        CASES[function.__name__.replace("_", " ")] = (function, messages)
        return function
    return register


def edit(path: Path | str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


# -- data -------------------------------------------------------------------------------------------------------------

@case("set/train.txt", "no image")
def a_list_without_images(work):
    Path("set/train.txt").write_text("")


@case("set/train.txt", "no image of it can be used", "0000.png")
def images_that_are_not_there(work):
    for path in Path("set/images").iterdir():
        path.unlink()


@case("set/train.txt: there are no labels at all beside its 19 images", "labels/a.txt")
def no_labels_at_all(work):
    for path in Path("set/labels").iterdir():
        path.unlink()


@case("set/train.txt: there are no labels at all")
def only_empty_labels(work):
    for path in Path("set/labels").iterdir():
        path.write_text("")


@case("set/labels/0001.txt:1: the class id 3 is too large: there are 3 names, so the largest id is 2")
def a_class_id_that_is_too_large_and_strict(work):
    Path("set/labels/0001.txt").write_text("3 0.5 0.5 0.1 0.1\n")
    return ["--strict"]


@case("set/images/0002.png")
def a_damaged_image_and_strict(work):
    path = Path("set/images/0002.png")
    path.write_bytes(path.read_bytes()[:200])
    return ["--strict"]


@case("set/demo.data: does not say valid=; add for example valid=data/valid.txt")
def a_data_file_without_valid(work):
    edit("set/demo.data", "valid", "#valid")


@case("set/demo.data: does not say train=")
def a_data_file_without_train(work):
    edit("set/demo.data", "train", "#train")


@case("missing.data: does not exist")
def a_data_file_that_is_not_there(work):
    return ["--data", "missing.data"]


@case("set/demo.data: says classes=4, but", "demo.names has 3 names; write classes=3")
def more_classes_than_names(work):
    edit("set/demo.data", "classes = 3", "classes = 4")


# -- model ------------------------------------------------------------------------------------------------------------

@case("tiny.cfg:30: the head knows 3 classes, set/demo.data has 2; change line 23: filters=21, line 30: classes=2",
      "or let --arch make a cfg")
def a_cfg_for_other_classes(work):
    edit("set/demo.data", "classes = 3", "classes = 2")
    Path("set/demo.names").write_text("circle\nsquare\n")


@case("--cfg: is missing; give a .cfg, or --arch")
def no_cfg(work):
    return ["--weights", "missing.weights"]


@case("--arch", "give one of the two")
def cfg_and_arch(work):
    return ["--cfg", "tiny.cfg", "--arch", "yolov3-tiny"]


@case("yolov9-huge", "yolov3-tiny")
def an_unknown_arch(work):
    return ["--arch", "yolov9-huge"]


@case("weights.weights")
def weights_of_another_cfg(work):
    Path("weights.weights").write_bytes(b"\0" * 4000)
    return ["--cfg", "tiny.cfg", "--weights", "weights.weights"]


@case("evil.pt: cannot be read as a checkpoint (it holds code or an object:", "mkdir")
def a_pt_file_with_code(work):
    class Evil:
        def __reduce__(self):
            return os.mkdir, ("THE CODE RAN",)

    torch.save({"model": Evil()}, "evil.pt")
    return ["--cfg", "tiny.cfg", "--weights", "evil.pt"]


@case("evil.pt")
def going_on_from_a_pt_file_with_code(work):
    a_pt_file_with_code(work)
    return ["--resume", "evil.pt"]


@case("evil.pt")
def a_bare_pickle_with_code(work):
    class Evil:
        def __reduce__(self):
            return os.mkdir, ("THE CODE RAN",)

    Path("evil.pt").write_bytes(pickle.dumps(Evil(), protocol=2))
    return ["--cfg", "tiny.cfg", "--weights", "evil.pt"]


@case("plain.pt: holds a network, but no training to go on with; give the last.pt of a run")
def going_on_from_no_training(work):
    from models import load_model, save_checkpoint

    save_checkpoint("plain.pt", load_model("tiny.cfg"))
    return ["--resume", "plain.pt"]


@case("weights/last.pt")
def going_on_where_nothing_is(work):
    return ["--resume"]


# -- numbers and words ------------------------------------------------------------------------------------------------

@case("--accumulate", "0")
def no_batch_in_a_step(work):
    return ["--accumulate", "0"]


@case("--batch-size: 4 images of 64x64 need about", "GB, 0.0 GB are free", "lower --img_size, or take a smaller network")
def a_batch_beyond_memory(work, monkeypatch):
    monkeypatch.setattr("utils.training.memory.free_memory", lambda: 1000)


@case("--hyp: there is no 'gio'; choose from lr0, momentum")
def an_unknown_number_of_the_recipe(work):
    return ["--hyp", "gio=2"]


@case("--hyp: giou, obj would change nothing: with the recipe darknet the heads of tiny.cfg say it", "--recipe ancestor")
def a_number_that_the_cfg_says_itself(work):
    edit("tiny.cfg", "mask=0,1,2", "mask=0,1,2\niou_loss=ciou")
    return "--hyp", "obj=3", "giou=2", "anchor_t=3"


@case("--hyp", "'giou' has no '='")
def a_number_of_the_recipe_without_its_value(work):
    return ["--hyp", "giou"]


@case("--amp: fp16 needs a CUDA GPU, and this training runs on cpu; write --amp bf16")
def fp16_without_a_gpu(work):
    return ["--amp", "fp16", "--device", "cpu"]


@case("--amp: apex needs a CUDA GPU")
def apex_without_a_gpu(work):
    return ["--amp", "apex", "--device", "cpu"]


@case("--freeze", "4 layers")
def more_frozen_layers_than_there_are(work):
    return ["--freeze", "9"]


@case("--multi-scale", "--rect", "give one of the two")
def rectangles_of_several_sizes(work):
    return ["--multi-scale", "--rect"]


@case("--s auto finds s by itself")
def two_ways_to_find_s(work):
    return ["-sr", "--s", "auto", "--sparsity", "linear"]


@case("--literal-warmup: has a fixed length")
def a_literal_warmup_of_another_length(work):
    return ["--literal-warmup", "--warmup-epochs", "1"]


# -- output -----------------------------------------------------------------------------------------------------------

@case("mine: is not empty; name a new folder, or go on with the run in it: --resume mine/last.pt")
def a_folder_that_is_not_empty(work):
    Path("mine").mkdir()
    Path("mine/precious.txt").write_text("x")
    return ["--out", "mine"]


@case("runs/mine: is there already; choose another --name, or go on with it: --resume runs/mine/last.pt")
def a_name_that_is_taken(work):
    Path("runs/mine").mkdir(parents=True)
    return ["--name", "mine"]


@case("mine: cannot be made a folder")
def a_file_where_the_folder_should_be(work):
    Path("mine").write_text("x")
    return ["--out", "mine"]


@case("mine/deep: cannot be made a folder")
def a_folder_within_a_file(work):
    Path("mine").write_text("x")
    return ["--out", "mine/deep"]


@case("tensorboard", "pip install")
def a_log_without_the_package(work, monkeypatch):
    from utils.errors import EngineError

    def missing(*_):
        raise EngineError("tensorboard", "is not installed", "pip install tensorboard")

    monkeypatch.setattr("utils.reports.training.tensorboard_log.TensorBoardLog", missing)
    return ["--tensorboard", "on", "--out", "new/folder"]


@case("new/tiny.cfg: cannot be written (No space left on device)")
def a_full_disk(work, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("utils.datasets.label_cache.write_bytes", lambda *_: None)
    monkeypatch.setattr("utils.atomic.os.fsync", full)
    return ["--out", "new"]


@pytest.mark.parametrize("what", CASES)
def test_one_line_code_2_and_nothing_written(work, monkeypatch, capfd, what):
    function, messages = CASES[what]
    needs_patch = "monkeypatch" in function.__code__.co_varnames[: function.__code__.co_argcount]
    words = function(work, monkeypatch) if needs_patch else function(work)
    before = work.files()
    code = work.main(words) if words and words[0] == "--resume" else work.train(*(words or ()))
    said = capfd.readouterr()
    errors = [line for line in said.err.splitlines() if line.startswith("error: ")]
    assert code == 2, said.err
    assert len(errors) == 1, said.err
    assert said.err.splitlines()[-1] == errors[0]
    for message in messages:
        assert message in errors[0]
    assert work.files() == before
    assert said.out == ""


# -- told once, and left out ------------------------------------------------------------------------------------------

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
