"""Heads by their stride, maps by their layer, and what is said where they do not fit."""

from __future__ import annotations

import pytest

from tests.distillation.networks import ANCHORS, HEAD_MAPS, network
from utils.darknet import parse_network, read_network
from utils.distillation import LayerPair, check_pairs, check_same_heads, head_inputs, matched_heads
from utils.errors import CfgError, OptionError

THREE_HEADS = ("cfg/yolov3.cfg", "cfg/yolov4.cfg", "cfg/yolov4-csp.cfg", "cfg/yolov7.cfg")


@pytest.mark.parametrize("cfg", ["cfg/yolov3.cfg", "cfg/yolov3-tiny.cfg", "cfg/yolov4.cfg", "cfg/yolov4-tiny.cfg",
                                 "cfg/yolov4-csp.cfg", "cfg/yolov7.cfg", "cfg/yolov7-tiny.cfg"])
def test_a_network_matches_itself_and_maps_are_what_the_last_convolutions_read(cfg):
    one = read_network(cfg)
    heads = matched_heads(one, one)
    assert heads == tuple(head.index for head in one.heads)
    check_same_heads(one, one, heads)
    pairs = head_inputs(one, one)
    for pair, head in zip(pairs, one.heads, strict=True):
        readers = [layer for layer in one.layers if pair.student in layer.inputs and layer.kind == "convolutional"]
        assert any(layer.shape.channels == head.options.channels for layer in readers)
        assert one.layers[pair.student].shape.height == head.input_shapes[0].height
    check_pairs(one, one, pairs)


def test_heads_in_another_order_and_more_of_them():
    """yolov4 lists its finest head first, yolov3 its coarsest; yolov3-tiny has none for small objects."""
    v3, v4, tiny = (read_network(f"cfg/{name}.cfg") for name in ("yolov3", "yolov4", "yolov3-tiny"))
    v4 = v4.resized(416, 416)
    assert [v4.layers[index].input_shapes[0].height for index in matched_heads(v3, v4)] == [13, 26, 52]
    assert [v3.layers[index].input_shapes[0].height for index in matched_heads(tiny, v3)] == [13, 26]
    with pytest.raises(CfgError, match="a cell per 8 pixels"):
        matched_heads(v3, tiny)


@pytest.mark.parametrize(("other", "said"), [
    ({"classes": 3}, "classes=2, the teacher's .*classes=3"),
    ({"anchors": ANCHORS.replace("10,12", "10,13")}, "anchors 6x6, 10x12, the teacher's .*6x6, 10x13"),
    ({"scale": 1.1}, r"scale_x_y=1, the teacher's .*scale_x_y=1\.1"),
    ({"new": 1}, "new_coords=0, the teacher's .*new_coords=1"),
])
def test_what_differs_is_said(other, said):
    student, teacher = network(), network(**other)
    with pytest.raises(CfgError, match=said):
        check_same_heads(student, teacher, matched_heads(student, teacher))
    assert head_inputs(student, teacher) == tuple(LayerPair(layer, layer) for layer in HEAD_MAPS), "maps can be compared"


@pytest.mark.parametrize(("pair", "said"), [
    (LayerPair(9, 2), "the student .* has layers 0 to 8, and no layer 9"),
    (LayerPair(2, -1), "the teacher .* no layer -1"),
    (LayerPair(4, 2), "layer 4 of the student is a head"),
    (LayerPair(2, 6), "layer 2 of the student gives a map of 8x8, layer 6 of the teacher one of 4x4"),
])
def test_pairs_that_cannot_be(pair, said):
    with pytest.raises(OptionError, match=said):
        check_pairs(network(), network(9), [pair])


def test_a_head_without_a_map_before_it():
    text = "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=14\nsize=1\nactivation=linear\n" \
           "[yolo]\nmask=0,1\nanchors=8,8, 16,16\nclasses=2\nnum=2\n"
    one = parse_network(text)
    with pytest.raises(CfgError, match="reads the image itself"):
        head_inputs(one, one)


def test_two_heads_of_one_stride_are_told_apart_by_their_anchors():
    text = "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=4\nsize=3\nstride=4\npad=1\nactivation=leaky\n"
    for mask in ("0,1", "2,3"):
        text += "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n" \
                f"[yolo]\nmask={mask}\nanchors={ANCHORS}\nclasses=2\nnum=4\n[route]\nlayers=0\n"
    one = parse_network(text.removesuffix("[route]\nlayers=0\n"))
    heads = matched_heads(one, one)
    assert heads == tuple(head.index for head in one.heads)
    check_same_heads(one, one, heads)
