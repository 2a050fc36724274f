"""Where a training starts: whole files, backbones, files for other classes, checkpoints, and files that do not fit."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from torch import nn

from models import Darknet, get_weights, save_checkpoint, save_weights
from tests.generators import random_weights
from tests.shared import SHARED, needs_shared
from utils.darknet import head_convolutions, initial_weights, parse_network, read_network, with_classes, write_weights
from utils.darknet.builder import build_cfg
from utils.errors import WeightsError
from utils.training.starting_weights import load_start

CFG = ("[net]\nwidth=16\nheight=8\nchannels=3\n"
       "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
       "[maxpool]\nsize=2\nstride=2\n"
       "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
       "[yolo]\nmask=0\nanchors=3,4, 5,6\nclasses=2\nnum=2\n"
       "[route]\nlayers=0\n"
       "[convolutional]\nbatch_normalize=1\nfilters=5\nsize=1\nactivation=leaky\n"
       "[convolutional]\nfilters=7\nsize=1\nactivation=linear\n"
       "[yolo]\nmask=1\nanchors=3,4, 5,6\nclasses=2\nnum=2\n")
NETWORK = parse_network(CFG, "my.cfg")
HEADS, WITH_WEIGHTS = (2, 6), (0, 2, 5, 6)


def arrays(model: Darknet) -> list[dict[str, np.ndarray]]:
    return list(get_weights(model).layers)


def same(mine, theirs) -> bool:
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[name], theirs[name]) for name in mine)


def start(path, network=NETWORK, **options):
    """The model, and what `load_start` said."""
    model = Darknet(network)
    return model, load_start(model, path, **options)


@pytest.fixture
def trained():
    """Weights of this cfg for 2 classes, and of the same for 80."""
    return random_weights(NETWORK, 1), random_weights(with_classes(NETWORK, 80), 2)


def test_without_a_file_everything_is_fresh_and_as_it_was():
    model = Darknet(NETWORK).initialise(seed=5)
    report = load_start(model, None)
    assert report.fresh == WITH_WEIGHTS
    assert (report.path, report.seen) == (None, 0)
    assert all(map(same, arrays(model), initial_weights(NETWORK, 5).layers))


@pytest.mark.parametrize("kind", ["weights", "pt"])
def test_a_whole_file_leaves_nothing_fresh(tmp_path, trained, kind):
    write_weights(tmp_path / "a.weights", NETWORK, trained[0])
    source, report = start(tmp_path / "a.weights")
    if kind == "pt":
        save_checkpoint(tmp_path / "a.pt", source, epoch=3)
        source, report = start(tmp_path / "a.pt")
    assert (report.fresh, report.seen, report.note) == ((), 6400, "")
    assert all(map(same, arrays(source), trained[0].layers))


@pytest.mark.parametrize("cutoff", [2, 3, 6])
def test_a_prefix_leaves_the_rest_fresh(tmp_path, trained, cutoff):
    write_weights(tmp_path / "whole.weights", NETWORK, trained[0])
    save_weights(start(tmp_path / "whole.weights")[0], tmp_path / f"my.conv.{cutoff}", cutoff=cutoff)
    model, report = start(tmp_path / f"my.conv.{cutoff}")
    assert report.fresh == tuple(index for index in WITH_WEIGHTS if index >= cutoff)
    assert f"my.conv.{cutoff} holds layers 0 to" in report.note
    fresh = initial_weights(NETWORK).layers
    for index, found in enumerate(arrays(model)):
        assert same(found, (fresh if index in report.fresh else trained[0].layers)[index]), index


@pytest.mark.parametrize("kind", ["weights", "pt", "pt without cfg"])
def test_a_file_for_other_classes_gives_everything_but_the_head_convolutions(tmp_path, trained, kind):
    coco = with_classes(NETWORK, 80)
    path = tmp_path / "coco.weights"
    write_weights(path, coco, trained[1])
    if kind != "weights":
        source = start(path, coco)[0]
        path = tmp_path / "coco.pt"
        if kind == "pt":
            save_checkpoint(path, source)
        else:
            torch.save(source.state_dict(), path)
    model, report = start(path)
    assert report.fresh == HEADS
    assert report.note == f"{path.name} was trained for 80 classes: its 2 head convolutions keep their initial weights"
    fresh = initial_weights(NETWORK).layers
    for index, found in enumerate(arrays(model)):
        assert same(found, (fresh if index in HEADS else trained[1].layers)[index]), index


class Ancestor(nn.Module):
    """The parameter names of ultralytics/yolov3 in 2019, for CFG with 80 classes."""

    def __init__(self):
        super().__init__()
        self.module_list = nn.ModuleList([self.block(3, 4, 3, True), nn.MaxPool2d(2), self.block(4, 85, 1, False),
                                          nn.Identity(), nn.Identity(), self.block(4, 5, 1, True),
                                          self.block(5, 85, 1, False), nn.Identity()])

    @staticmethod
    def block(inputs, filters, size, normalised):
        block = nn.Sequential()
        block.add_module("Conv2d", nn.Conv2d(inputs, filters, size, bias=not normalised))
        if normalised:
            block.add_module("BatchNorm2d", nn.BatchNorm2d(filters))
        return block


def test_a_checkpoint_of_the_ancestor_for_other_classes_is_taken(tmp_path):
    ancestor = Ancestor()
    torch.save({"epoch": 9, "model": ancestor.state_dict(), "optimizer": None}, tmp_path / "best.pt")
    model, report = start(tmp_path / "best.pt")
    assert report.fresh == HEADS
    assert "trained for 80 classes" in report.note
    assert torch.equal(model.layers[5].weight, ancestor.module_list[5].Conv2d.weight)


def test_one_head_and_one_class_are_said_in_the_singular(tmp_path):
    one_head = parse_network(CFG[:CFG.index("[route]")].replace("classes=2", "classes=1").replace("=7", "=6"))
    write_weights(tmp_path / "a.weights", one_head, initial_weights(one_head))
    _, report = start(tmp_path / "a.weights", with_classes(one_head, 5))
    assert report.note == "a.weights was trained for 1 class: its convolution before the head keeps their initial weights"


def test_the_prior_gives_biases_to_fresh_heads_alone(tmp_path, trained):
    def prior(head, bias, size):
        assert size == (8, 16)
        assert bias.shape == (7,)
        return torch.full_like(bias, 10 + head)

    assert [layer["bias"].max() for layer in arrays(start(None, prior=prior)[0]) if "bias" in layer] == [10, 11]
    write_weights(tmp_path / "a.weights", NETWORK, trained[0])
    assert all(map(same, arrays(start(tmp_path / "a.weights", prior=prior)[0]), trained[0].layers))
    save_weights(start(tmp_path / "a.weights")[0], tmp_path / "a.conv.4", cutoff=4)
    model, _ = start(tmp_path / "a.conv.4", prior=prior)
    assert same(arrays(model)[2], trained[0].layers[2])
    assert set(arrays(model)[6]["bias"]) == {11}


@pytest.mark.parametrize(("source", "known"), [("yolov4-tiny", "yolov4-tiny with 3 classes"),
                                               ("yolov3-tiny", "yolov3-tiny with 3 classes")])
def test_weights_of_another_cfg_are_named(tmp_path, source, known):
    network = parse_network(build_cfg(source, classes=3), "theirs.cfg")
    write_weights(tmp_path / "a.weights", network, initial_weights(network))
    with pytest.raises(WeightsError, match=rf"a\.weights: .*floats.*; it has the length of {known}"):
        start(tmp_path / "a.weights")
    other = {"yolov4-tiny": "yolov3-tiny", "yolov3-tiny": "yolov4-tiny-3l"}[source]
    with pytest.raises(WeightsError, match=f"it has the length of {known}"):
        start(tmp_path / "a.weights", parse_network(build_cfg(other, width_multiple=0.5)))


def test_a_backbone_of_another_cfg_is_named(tmp_path):
    network = parse_network(build_cfg("yolov4-tiny", classes=3), "theirs.cfg")
    save_weights(Darknet(network), tmp_path / "yolov4-tiny.conv.29", cutoff=29)
    with pytest.raises(WeightsError, match=r"layer \d+ .*the first \d+ layers of yolov4-tiny"):
        start(tmp_path / "yolov4-tiny.conv.29", parse_network(build_cfg("yolov3-tiny", classes=3)))


@pytest.mark.parametrize("kind", ["weights", "pt"])
def test_a_file_of_an_unknown_cfg_names_the_layer(tmp_path, trained, kind):
    other = parse_network(CFG.replace("filters=5", "filters=6"), "other.cfg")
    write_weights(tmp_path / "a.weights", NETWORK, trained[0])
    path, message = tmp_path / "a.weights", r"a\.weights: ends too early: layer \d+"
    if kind == "pt":
        path, message = tmp_path / "a.pt", r"a\.pt: layer 5 .*these are weights of my\.cfg"
        save_checkpoint(path, start(tmp_path / "a.weights")[0])
    with pytest.raises(WeightsError, match=message):
        start(path, other)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Evil()}, "evil.pt")
    with pytest.raises(WeightsError, match="no pickled models"):
        start("evil.pt")
    assert not os.path.exists("harm")


@pytest.mark.parametrize("name", ["no.weights", "no.pt"])
def test_a_missing_file_is_an_error_with_its_path(tmp_path, name):
    with pytest.raises(WeightsError, match=f"{name}: does not exist"):
        start(tmp_path / name)


@needs_shared
def test_real_coco_weights_start_a_training_of_two_classes():
    folder = SHARED / "weights" / "mbv2-yolov3-nano-coco"
    network = with_classes(read_network(folder / "model.cfg"), 2)
    model, report = start(folder / "model.weights", network)
    assert report.fresh == head_convolutions(network)
    assert "model.weights was trained for 80 classes" in report.note
    assert torch.isfinite(model.train()(torch.rand(2, 3, 64, 64))[0]).all()


@needs_shared
def test_a_real_backbone_of_another_cfg_names_the_layer_that_starves():
    network = read_network(SHARED / "weights" / "mbv2-yolo-fastest-voc-v0" / "model.cfg")
    with pytest.raises(WeightsError, match=r"conv\.57: ends too early: layer 63 \(\[convolutional\]"):
        start(SHARED / "weights" / "mbv2-yolo-fastest.conv.57", network)
