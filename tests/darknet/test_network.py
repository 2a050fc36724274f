"""Cfgs become the networks that Darknet makes of them, or an error that names the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.shared import SHARED, needs_shared
from utils.darknet import HEADS, IMAGE, SECTIONS, Shape, parse_network, read_network
from utils.darknet.sections import KIND_OF_NAME, REFUSED
from utils.errors import CfgError

NET = "[net]\nwidth=32\nheight=64\nchannels=3\n"
CONV = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
CASES = sorted(SHARED.glob("darknet/cases/*.json"))

# "Total BFLOPS" of AlexeyAB's Darknet for its own cfgs, as users and its README quote it.
BFLOPS = {("yolov3", 416): 65.879, ("yolov4", 608): 128.459, ("yolov4", 416): 60.137, ("yolov4-tiny", 416): 6.910,
          ("yolov3-tiny", 416): 5.571, ("yolov3-spp", 608): 141.531}


@needs_shared
@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_every_layer_has_the_shape_that_darknet_recorded(path):
    import numpy as np

    network = read_network(path.with_suffix(".cfg"))
    recorded = np.load(path.with_suffix(".npz"))["layers"][:, 1:4].astype(int)
    kinds = [layer.kind for layer in network.layers]
    for layer, chw in zip(network.layers, recorded, strict=True):
        if chw.any() and layer.kind != "dropout":  # Darknet records no shape for some kinds
            assert (layer.shape.channels, layer.shape.height, layer.shape.width) == tuple(chw), (layer.index, kinds)


@needs_shared
@pytest.mark.parametrize("path", CASES, ids=lambda p: p.stem)
def test_a_weights_file_of_every_case_has_the_length_that_the_cfg_asks_for(path):
    spec = json.loads(path.read_text())
    if spec.get("real_weights"):
        pytest.skip("its weights are not recorded")
    header = 20 if spec["header"] == "v2" else 16
    assert spec["weights_bytes"] == header + 4 * read_network(path.with_suffix(".cfg")).parameters


@needs_shared
@pytest.mark.parametrize(("name", "side"), BFLOPS, ids=str)
def test_billions_of_operations_are_those_that_darknet_prints(name, side):
    network = read_network(SHARED / "darknet" / "cases" / f"{name}.cfg").resized(side, side)
    assert round(network.bflops, 3) == BFLOPS[name, side]


@pytest.mark.parametrize("name", sorted(KIND_OF_NAME))
def test_every_alias_leads_to_a_kind_of_the_table(name):
    assert SECTIONS[KIND_OF_NAME[name].kind] is KIND_OF_NAME[name]


def test_heads_and_refused_kinds_do_not_overlap_the_rest():
    assert set(SECTIONS) >= HEADS
    assert not set(REFUSED) & set(KIND_OF_NAME)


def test_a_network_knows_who_reads_what():
    network = parse_network(NET + CONV + CONV + "[shortcut]\nfrom=-2\n[route]\nlayers=-1,0\n")
    assert network.layers[0].inputs == (IMAGE,)
    assert network.layers[2].inputs == (1, 0)
    assert network.consumers(0) == (1, 2, 3)
    assert network.layers[3].shape == Shape(16, 64, 32)
    assert network.macs == 64 * 32 * 9 * (3 * 8 + 8 * 8)


def test_the_fingerprint_ignores_comments_spelling_and_training_options_but_not_widths():
    plain = parse_network(NET + CONV)
    same = parse_network("# mine\n[network]\nwidth=64\nheight = 64\nchannels=3\nburn_in=7\n" + CONV.replace("[convolu", "[convolu"))
    other = parse_network(NET + CONV.replace("filters=8", "filters=9"))
    assert plain.fingerprint == same.fingerprint != other.fingerprint


def test_resizing_edits_the_text_and_the_shapes():
    network = parse_network(NET + CONV).resized(height=96, width=160)
    assert network.layers[0].shape == Shape(8, 96, 160)
    assert b"width=160\nheight=96\n" in network.document.to_bytes()


def yolo(filters: int = 18, extra: str = "") -> str:
    return (f"[convolutional]\nfilters={filters}\nactivation=linear\n"
            f"[yolo]\nmask=0,1\nanchors=1,2,3,4\nclasses=4\nnum=2\n{extra}")


BAD = {
    "no sections": ("# nothing\n", r"cfg: holds no sections; a cfg begins with \[net\]"),
    "no net": (CONV, r"cfg:1: the first section is \[convolutional\]; a cfg must begin with \[net\]"),
    "no layers": (NET, "has no layers below"),
    "no width": ("[net]\nheight=3\nchannels=3\n" + CONV, r"cfg:1: \[net\] says nothing of width=; write width=416"),
    "unknown section": (NET + "[convolutoinal]\n", r"cfg:5: \[convolutoinal\] is no section"),
    "wrong case": (NET + "[Convolutional]\n", r"did you mean \[convolutional\]\?"),
    "refused section": (NET + CONV + "[lstm]\n", r"cfg:12: \[lstm\] cannot be used: recurrent"),
    "a second net": (NET + CONV + NET, r"cfg:12: a second \[net\]"),
    "unknown activation": (NET + CONV.replace("leaky", "leeky"), r"cfg:11: \[convolutional\] activation=leeky is unknown"),
    "no number": (NET + CONV.replace("filters=8", "filters=abc"), r"cfg:7: \[convolutional\] filters=abc is not a whole number"),
    "zero filters": (NET + CONV.replace("filters=8", "filters=0"), "filters=0 is too small"),
    "xnor": (NET + CONV + "xnor=1\n", r"cfg:12: .*xnor=1 \(binary weights\) is not supported"),
    "route to a later layer": (NET + CONV + "[route]\nlayers=5\n", r"cfg:13: \[route\] layers=5 points to layer 5, which comes after"),
    "route to itself": (NET + CONV + "[route]\nlayers=1\n", "layers=1 is the layer itself"),
    "route before the first": (NET + CONV + "[route]\nlayers=-2\n", "layers=-2 points before the first layer"),
    "route to nothing": (NET + CONV + "[route]\n", "names no layers"),
    "route with a hole": (NET + CONV + "[route]\nlayers=-1,\n", "is not a list of whole numbers"),
    "shortcut to a later layer": (NET + CONV + "[shortcut]\nfrom=3\n", r"from=3 points to layer 3"),
    "shortcut without from": (NET + CONV + "[shortcut]\n", "names no layer to add"),
    "shortcut of unequal maps": (
        NET + CONV + CONV.replace("stride=1", "stride=2") + "[shortcut]\nfrom=-2\n",
        r"cfg:19: \[shortcut\] \(layer 2\) adds maps of unequal width x height: the layer before \(16x32\), layer 0 \(32x64\)"),
    "route of unequal maps": (
        NET + CONV + "[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,0\n", "concatenates maps of unequal width x height"),
    "group beyond groups": (NET + CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=2\n", "group_id=2 does not exist in groups=2"),
    "groups that do not divide": (NET + CONV + CONV.replace("size=3", "size=3\ngroups=3"), "groups=3 does not divide its 8 input"),
    "weights without normalisation": (
        NET + CONV + CONV + "[shortcut]\nfrom=-2\nweights_type=per_channel\n", "needs weights_normalization="),
    "head filters": (NET + yolo(21), r"cfg:8: \[yolo\] \(layer 1\) reads 21 channels, but 2 anchors x \(5 \+ 4 classes\) = 18; "
                     "give the convolution before it filters=18"),
    "a negative mask": (NET + yolo(18).replace("mask=0,1", "mask=-1,0"), r"cfg:9: \[yolo\] mask=-1 is no anchor; count anchors from 0"),
    "more anchors than memory": (NET + yolo().replace("num=2", "num=2000000000"), "num=2000000000 is no number of anchors"),
    "more than 32 bits": (
        NET + CONV.replace("filters=8", "filters=99999999999"),
        r"cfg:7: \[convolutional\] filters=99999999999 does not fit in Darknet's 32 bits; give 2147483647 or less"),
    "a number of 5000 digits": (
        NET + CONV.replace("filters=8", "filters=" + 5000 * "9"), "filters=99999999999999999... does not fit in Darknet's 32 bits"),
    "a reference of 5000 digits": (NET + CONV + "[route]\nlayers=-" + 5000 * "9", r"layers=-9999999999999999... does not fit"),
    "a number beyond floats": (NET + CONV + "[upsample]\nscale=1e39\n", "scale is too large for Darknet's floats"),
    "a map of 8 TB": (
        NET.replace("32", "1000000").replace("64", "1000000") + CONV,
        r"cfg:5: \[convolutional\] \(layer 0\) makes 8000000000000 numbers, more than Darknet's 32 bits can count"),
    "a kernel of 86 GB": (NET + CONV.replace("filters=8", "filters=1000000").replace("stride=1", "stride=99") + CONV.replace(
        "filters=8", "filters=2400"), r"\(layer 1\) makes 21600000000 numbers"),
    "a window much larger than its map": (
        NET + CONV + "[maxpool]\nsize=65536\n", "size=65536 and padding=65535 are too large for its 32x64 input"),
    "dropping more than all": (NET + CONV + "[dropout]\nprobability=2\n", "probability=2 is no share of the values"),
    "reorg of too few channels": (NET + "[reorg]\nstride=2\n", r"cfg:5: \[reorg\] \(layer 0\) stride=2 cannot mix its 3 channels"),
    "reading a head": (NET + yolo() + CONV, r"\(layer 2\) reads layer 1, a \[yolo\] head"),
    "tree": (NET + CONV + "[region]\ntree=data/9k.tree\n", "softmax trees are not supported"),
    "vanished map": (NET + CONV.replace("size=3", "size=99").replace("pad=1", "pad=0"), "has nothing left of its 32x64 input"),
    "reading past the end": (
        NET + CONV + CONV.replace("filters=8", "filters=4") + CONV + "[shortcut]\nfrom=-2\n", "Darknet reads past its end"),
    "a blurred layer by name": (NET + CONV + "antialiasing=1\nstride=2\n[route]\nlayers=-1\n", "antialiasing makes Darknet record the wrong size"),
    "shared weights of another shape": (NET + CONV + CONV + "share_index=0\n", "shares the weights of layer 0, which have another shape"),
    "a padded 1x1 convolution": (NET + CONV.replace("size=3", "size=1").replace("pad=1", "padding=1"), "reads past its input"),
    "a padded 1x1 convolution with a blur": (
        NET + CONV.replace("size=3", "size=1").replace("pad=1", "padding=1\nantialiasing=1"), "reads past its input"),
    "dilation that changes the size": (NET + CONV.replace("pad=1", "pad=0\ndilation=2"), "gives maps of another size"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_cfg_that_cannot_be_meant_is_refused_with_its_line(name):
    text, message = BAD[name]
    with pytest.raises(CfgError, match=message):
        parse_network(text, "my.cfg")


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(CfgError, match="does not exist; check the path"):
        read_network(tmp_path / "none.cfg")
    with pytest.raises(CfgError, match="is a folder; give a .cfg file"):
        read_network(tmp_path)


def test_c_numbers_are_read_as_c_reads_them():
    network = parse_network(NET.replace("width=32", "width=32.9 # px") + CONV + "[upsample]\nscale=.5\n")
    assert network.net.width == 32
    assert network.layers[1].options.scale == 0.5


def test_a_number_may_begin_with_zeros():
    assert parse_network(NET + CONV.replace("filters=8", "filters=" + 5000 * "0" + "8")).layers[0].shape.channels == 8


@pytest.mark.parametrize(("anchors", "own", "meaning"), [
    ("1,2,3,4,5,6", ((3.0, 4.0), (5.0, 6.0)), "the anchors written behind them"),
    ("1,2,3,4", ((3.0, 4.0), (0.5, 0.5)), "an anchor of half a pixel"),
    ("1,2,3,4,5", ((3.0, 4.0), (5.0, 0.5)), "an anchor of half a pixel"),
])
def test_a_mask_beyond_num_is_read_as_darknet_reads_it_with_a_warning(caplog, anchors, own, meaning):
    text = NET + yolo().replace("mask=0,1", "mask=1,2").replace("1,2,3,4", anchors)
    network = parse_network(text, f"{anchors}.cfg")
    network.with_options({0: {"filters": "18"}})
    assert network.heads[0].options.own_anchors == own
    assert network.heads[0].options.num == 2
    (said,) = caplog.messages
    assert said.startswith(f"{anchors}.cfg:9: mask=2 lies outside num=2 anchors")
    assert said.endswith(meaning)


def test_weights_that_are_shared_by_a_layer_that_shares_them_belong_to_the_first():
    shared = CONV.replace("filters=8", "filters=3")
    network = parse_network(NET + shared + shared + "share_index=0\n" + shared + "share_index=1\ndilation=2\n")
    assert [layer.options.share_index for layer in network.layers] == [None, 0, 0]
    assert [layer.parameters for layer in network.layers[1:]] == [0, 0]


def test_anchors_beyond_num_are_ignored_and_missing_ones_are_half_a_pixel():
    network = parse_network(NET + yolo().replace("1,2,3,4", "1,2,"))
    assert network.heads[0].options.anchors == ((1.0, 2.0), (0.5, 0.5))


def test_what_layers_need_is_all_they_read_directly_or_not():
    network = read_network(Path(__file__).resolve().parents[2] / "cfg" / "yolov3-tiny.cfg")
    first, second = (head.index for head in network.heads)
    assert network.needed_by(0) == {0}
    assert network.needed_by(first) == set(range(first + 1))
    assert network.needed_by(second) == set(range(second + 1)) - {first - 2, first - 1, first}, "the first head's own layers"
    assert network.needed_by(first, second) == set(range(second + 1))
