"""The same cfg for other classes: against the builder's cfgs, and against the lengths of files."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.generators import networks
from tests.shared import SHARED, needs_shared
from utils.darknet import (
    classes_for_length,
    classes_in_file,
    head_convolutions,
    initial_weights,
    lines_for_classes,
    parse_network,
    read_network,
    with_classes,
    write_weights,
)
from utils.darknet.builder import ARCHITECTURES, build_cfg
from utils.errors import CfgError, WeightsError

NET = "[net]\nwidth=8\nheight=8\nchannels=2\n"
BASE = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
HEAD = "[yolo]\nmask=0\nanchors=3,4\nclasses=2\nnum=1\n"
CONVOLUTION = "[convolutional]\nfilters=7 # 5 + 2\nsize=1\nactivation=linear\n"


def network(sections: str):
    return parse_network(NET + sections, "my.cfg")


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_other_classes_make_the_network_that_the_builder_makes(name):
    coco = parse_network(build_cfg(name), f"{name}.cfg")
    assert with_classes(coco, 3).fingerprint == parse_network(build_cfg(name, classes=3)).fingerprint != coco.fingerprint
    assert with_classes(coco, 80).document == coco.document


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_lines_for_other_classes_make_that_network_too(name):
    text = build_cfg(name)
    lines = text.split("\n")
    for number, line in lines_for_classes(parse_network(text), 3).items():
        assert lines[number - 1].split("=")[0] == line.split("=")[0]
        lines[number - 1] = line
    assert parse_network("\n".join(lines)).fingerprint == parse_network(build_cfg(name, classes=3)).fingerprint
    assert lines_for_classes(parse_network(text), 80) == {}


def test_only_the_lines_of_filters_and_classes_change():
    before = network(BASE + CONVOLUTION + HEAD)
    after = with_classes(before, 11)
    changed = [new.strip() for old, new in zip(before.document.lines, after.document.lines, strict=True) if old != new]
    assert changed == ["filters=16 # 5 + 2", "classes=11"]


def test_classes_that_the_cfg_does_not_write_are_written():
    after = with_classes(network(BASE + CONVOLUTION.replace("7 ", "25 ") + HEAD.replace("classes=2\n", "")), 1)
    assert (after.heads[0].options.classes, after.layers[1].shape.channels) == (1, 6)


def test_convolutions_that_share_their_weights_change_together():
    shared = (BASE + CONVOLUTION + HEAD + "[route]\nlayers=0\n[maxpool]\nsize=2\nstride=2\n"
              + CONVOLUTION.replace("size", "share_index=1\nsize") + HEAD)
    before = network(shared)
    after = with_classes(before, 4)
    assert head_convolutions(before) == (1, 5)
    assert [after.layers[index].shape.channels for index in (1, 2, 5, 6)] == [9] * 4


def test_layers_without_kernels_between_convolution_and_head_are_passed():
    before = network(BASE + CONVOLUTION + BASE.replace("filters=4", "filters=9") + "[route]\nlayers=1\n"
                     "[activation]\nactivation=linear\n" + HEAD)
    assert head_convolutions(before) == (1,)
    assert with_classes(before, 5).layers[1].shape.channels == 10


def test_a_head_that_reads_several_maps_keeps_its_classes():
    before = network(BASE.replace("=4", "=3") + BASE + "[route]\nlayers=-1,-2\n" + HEAD)
    assert head_convolutions(before) == (0, 1)
    with pytest.raises(CfgError, match=r"my\.cfg:\d+: layer [01] .*put a convolution right before"):
        with_classes(before, 5)
    assert classes_for_length(before, before.parameters) is None


def test_no_class_at_all_is_refused():
    with pytest.raises(CfgError, match="classes=0"):
        with_classes(network(BASE + CONVOLUTION + HEAD), 0)


@given(networks(), st.integers(1, 90))
def test_the_length_of_a_file_says_its_classes(before, classes):
    other = with_classes(before, classes)
    assert {head.options.classes for head in other.heads} == {classes}
    assert classes_for_length(before, other.parameters) == classes
    assert classes_for_length(other, before.parameters) == before.heads[0].options.classes
    assert classes_for_length(before, other.parameters - 1) is None
    heads = set(head_convolutions(before))
    assert heads == set(head_convolutions(other))
    assert all(a.arrays == b.arrays for a, b in zip(before.layers, other.layers, strict=True) if a.index not in heads)


@pytest.mark.parametrize("header", [struct.pack("<iiiQ", 0, 2, 5, 64), struct.pack("<iiiI", 0, 1, 0, 64)])
def test_files_with_headers_of_both_lengths_say_their_classes(tmp_path, header):
    mine, theirs = network(BASE + CONVOLUTION + HEAD), with_classes(network(BASE + CONVOLUTION + HEAD), 9)
    (tmp_path / "a.weights").write_bytes(header + np.zeros(theirs.parameters, "<f4").tobytes())
    assert classes_in_file(tmp_path / "a.weights", mine) == 9
    (tmp_path / "b.weights").write_bytes(header + np.zeros(theirs.parameters - 3, "<f4").tobytes())
    assert classes_in_file(tmp_path / "b.weights", mine) is None


def test_a_length_that_only_an_absurd_number_of_classes_explains_says_nothing():
    mine = network(BASE + CONVOLUTION + HEAD)
    assert classes_for_length(mine, with_classes(mine, 20_000).parameters) is None
    assert classes_for_length(mine, 12) is None


def test_a_network_without_heads_has_no_classes(tmp_path):
    mine = network(BASE)
    write_weights(tmp_path / "a.weights", mine, initial_weights(mine))
    assert classes_in_file(tmp_path / "a.weights", mine) is None
    assert with_classes(mine, 5) is mine
    with pytest.raises(WeightsError, match="does not exist"):
        classes_in_file(tmp_path / "none.weights", mine)


@needs_shared
@pytest.mark.parametrize(("pair", "classes"), [("yolo-fastest-1.1-coco", 80), ("yolo-fastest-1.0-voc", 20),
                                               ("yoloface-500k-v2", 1)])
def test_real_files_say_their_classes(pair, classes):
    folder = SHARED / "weights" / pair
    assert classes_in_file(folder / "model.weights", with_classes(read_network(folder / "model.cfg"), 3)) == classes
