"""What a user may get wrong with train.py: one line that names the place and the way out, code 2, and nothing written."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

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


@case("tiny.weights: is no PyTorch checkpoint; give a .pt file")
def going_on_from_a_weights_file(work):
    from models import load_model, save_weights

    save_weights(load_model("tiny.cfg"), "tiny.weights")
    return ["--resume", "tiny.weights"]


@case("set: is a folder; give a .pt file")
def going_on_from_a_folder(work):
    return ["--resume", "set"]


@case("old.pt: holds a training that cannot go on here (KeyError: 'loss_sums'); begin a new one from its network: --weights")
def going_on_from_a_training_of_another_version(work):
    from models import load_model, save_checkpoint

    save_checkpoint("old.pt", load_model("tiny.cfg"), training={"progress": {}}, arguments={})
    return ["--resume", "old.pt", "--data", "set/demo.data"]


@case("--out: names another folder, and a run goes on in its own")
def going_on_in_another_folder(work):
    return ["--resume", "last.pt", "--out", "elsewhere"]


@case("--cfg: is missing")
def a_pt_file_whose_cfg_is_that_of_another_program(work):
    torch.save({"model": {"layers.0.weight": torch.zeros(1)}, "cfg": {"depth": 3}, "header": 7}, "other.pt")
    return ["--weights", "other.pt"]


@case("odd.pt: has no header of four whole numbers")
def a_pt_file_with_a_broken_header(work):
    torch.save({"model": {"layers.0.weight": torch.zeros(1)}, "cfg": Path("tiny.cfg").read_text(), "header": 7}, "odd.pt")
    return ["--weights", "odd.pt"]


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


@case("--s, --s-bias: would press nothing: sparsity is off; add -sr")
def a_strength_without_sparsity(work):
    return ["--s", "0.01", "--s-bias", "0.1"]


@case("--width-multiple: scales what --arch makes")
def a_width_without_an_architecture(work):
    return ["--width-multiple", "0.5"]


@case("--img_size: 16384 pixels are more than a mosaic can be made for")
def an_input_beyond_opencv(work):
    return ["--img_size", "16384"]


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


@case("--name: '../mine' is not the name of a folder in runs/; write --out for a path")
def a_name_that_is_a_path(work):
    return ["--name", "../mine"]


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
