"""Checkpoints: ours, those of the ultralytics/yolov3 family, and files that must not be trusted."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from torch import nn

from models import Darknet, get_weights, load_checkpoint, load_model, save_checkpoint
from tests.layers.networks import darknet, image, last
from utils.errors import OutputError, WeightsError
from utils.layers import is_checkpoint

SECTIONS = ("[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
            "[convolutional]\nfilters=3\nsize=1\nactivation=linear\n[shortcut]\nfrom=0\n")


def same(a, b) -> bool:
    """Whether two `Weights` hold the same bits."""
    return all(x.keys() == y.keys() and all(np.array_equal(x[k], y[k]) for k in x)
               for x, y in zip(a.layers, b.layers, strict=True))


def test_a_checkpoint_brings_back_cfg_weights_and_what_else_was_kept(tmp_path):
    model = darknet(SECTIONS)
    save_checkpoint(tmp_path / "last.pt", model, epoch=3, optimizer={"lr": 0.1, "moments": [torch.ones(2)]})
    checkpoint = load_checkpoint(tmp_path / "last.pt")
    assert checkpoint.extra["epoch"] == 3
    assert torch.equal(checkpoint.extra["optimizer"]["moments"][0], torch.ones(2))
    assert checkpoint.network().fingerprint == model.network.fingerprint
    again = load_model(checkpoint.network(), tmp_path / "last.pt").eval()
    assert same(get_weights(again), get_weights(model))
    assert torch.equal(last(again, image()), last(model, image()))


def test_our_own_entries_cannot_be_overwritten(tmp_path):
    with pytest.raises(ValueError, match="'cfg'"):
        save_checkpoint(tmp_path / "last.pt", darknet(SECTIONS), cfg="")
    assert not list(tmp_path.iterdir())


class Ancestor(nn.Module):
    """The parameter names of ultralytics/yolov3 in 2019."""

    def __init__(self):
        super().__init__()
        first = nn.Sequential()
        first.add_module("Conv2d", nn.Conv2d(3, 4, 3, bias=False))
        first.add_module("BatchNorm2d", nn.BatchNorm2d(4))
        second = nn.Sequential()
        second.add_module("Conv2d", nn.Conv2d(4, 3, 1))
        self.module_list = nn.ModuleList([first, second, nn.Sequential()])


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoints_of_the_ancestor_load_by_their_names(tmp_path, legacy, prefix):
    ancestor = Ancestor()
    state = {prefix + key: value for key, value in ancestor.state_dict().items()}
    entries = {"epoch": 7, "best_fitness": np.float64(0.5), "training_results": None, "model": state, "optimizer": None}
    torch.save(entries, tmp_path / "best.pt", _use_new_zipfile_serialization=not legacy)
    assert is_checkpoint(tmp_path / "best.pt")
    model = load_model(darknet(SECTIONS).network, tmp_path / "best.pt")
    assert torch.equal(model.layers[0].weight, ancestor.module_list[0].Conv2d.weight)
    assert torch.equal(model.layers[0].bn.running_var, ancestor.module_list[0].BatchNorm2d.running_var)
    assert torch.equal(model.layers[1].bias, ancestor.module_list[1].Conv2d.bias)
    assert load_checkpoint(tmp_path / "best.pt").extra["epoch"] == 7


def test_a_checkpoint_of_another_cfg_names_the_layer_and_the_cfg(tmp_path):
    save_checkpoint(tmp_path / "last.pt", darknet(SECTIONS))
    other = darknet(SECTIONS.replace("filters=4", "filters=6")).network
    with pytest.raises(WeightsError, match=r"last\.pt: layer 0 .*wants gamma of shape \(6,\).*\(4,\).*small\.cfg|"
                                           r"last\.pt: layer 0 .*wants beta of shape \(6,\).*\(4,\).*small\.cfg"):
        load_model(other, tmp_path / "last.pt")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Evil()}, "evil.pt")
    with pytest.raises(WeightsError, match="no pickled models"):
        load_checkpoint("evil.pt")
    assert not os.path.exists("harm")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x02junk", b"hello"])
def test_files_that_are_no_checkpoints_are_refused(tmp_path, content):
    (tmp_path / "odd.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"odd\.pt"):
        load_checkpoint(tmp_path / "odd.pt")


def test_a_checkpoint_without_tensors_or_cfg_says_so(tmp_path):
    torch.save({"model": {"epoch": 3}}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="holds no tensors"):
        load_checkpoint(tmp_path / "a.pt")
    torch.save(darknet(SECTIONS).state_dict(), tmp_path / "b.pt")
    with pytest.raises(WeightsError, match="holds no cfg"):
        load_checkpoint(tmp_path / "b.pt").network()
    assert isinstance(load_model(darknet(SECTIONS).network, tmp_path / "b.pt"), Darknet)


def test_a_missing_file_and_a_missing_folder_are_errors_with_a_path(tmp_path):
    with pytest.raises(WeightsError, match=r"no\.pt: does not exist"):
        load_checkpoint(tmp_path / "no.pt")
    with pytest.raises(OutputError, match="none"):
        save_checkpoint(tmp_path / "none" / "a.pt", darknet(SECTIONS))
