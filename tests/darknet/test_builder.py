"""The cfg builder: official networks section by section, any width, number of classes and anchors, clear refusals."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shared import SHARED, needs_shared, recorded_tool
from utils.darknet import initial_weights, parse_network, write_weights
from utils.darknet.builder import ARCHITECTURES, build_cfg, scaled_filters
from utils.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]

PUBLISHED_BYTES = {"yolov3": 248007048, "yolov3-spp": 252209544, "yolov3-tiny": 35434956, "yolov4": 257717640,
                   "yolov4-tiny": 24251276}  # as the download pages give them
PUBLISHED_BACKBONES = {("yolov3", 74): 162482580, ("yolov4", 137): 170038676, ("yolov4-tiny", 29): 19789716}

SMALL = {"width_multiple": 0.25, "width": 128, "height": 96}


def sections(text: str, tmp_path: Path) -> list[tuple[str, dict[str, str]]]:
    """The cfg as the recorded references' reader, which is not ours, understands it."""
    path = tmp_path / "built.cfg"
    path.write_text(text)
    return recorded_tool("gen").read_cfg(path)


# -- the official networks --------------------------------------------------------------------------------------------

@needs_shared
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_option_of_every_section_is_that_of_the_official_cfg(name, tmp_path):
    official = recorded_tool("gen").read_cfg(SHARED / "darknet" / "cases" / f"{name}.cfg")
    ours = sections(build_cfg(name), tmp_path)
    changed_for_the_record = {"width", "height", "batch", "subdivisions"}
    for cfg in (official, ours):
        assert cfg[0][0] == "net"
        assert changed_for_the_record <= set(cfg[0][1])
        for key in changed_for_the_record:
            del cfg[0][1][key]
    assert len(ours) == len(official)
    for index, (section, expected) in enumerate(zip(ours, official, strict=True), start=-1):
        assert section == expected, f"layer {index}"


@needs_shared
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_default_input_is_the_official_one(name):
    survey = (SHARED / "darknet" / "SURVEY.md").read_text(encoding="utf-8")
    width, height, channels = re.search(rf"^\| {name}\.cfg \|.*?\| (\d+)x(\d+)x(\d+) \|", survey, re.M).groups()
    shape = parse_network(build_cfg(name)).input_shape
    assert (shape.width, shape.height, shape.channels) == (int(width), int(height), int(channels))


@needs_shared
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_key_is_written_that_official_cfgs_do_not_use(name, tmp_path):
    """hank-ai's Darknet stops at a key that it does not know."""
    survey = (SHARED / "darknet" / "SURVEY.md").read_text(encoding="utf-8")
    union = survey.split("### All [yolo]-headed cfgs")[1].split("\n### ")[0]
    known = {section: set(re.findall(r"^- `(\w+)`", keys, re.M))
             for section, keys in re.findall(r"\*\*\[(\w+)\]\*\*(.*?)(?=\n\*\*\[|\Z)", union, re.S)}
    for section, options in sections(build_cfg(name, classes=3, width_multiple=0.5), tmp_path):
        assert set(options) <= known[section], section


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_our_own_table_knows_every_key_too(name):
    assert parse_network(build_cfg(name)).unknown_options == ()


@needs_shared
@pytest.mark.parametrize("name", PUBLISHED_BYTES)
def test_the_published_coco_weights_fit_float_for_float(name, tmp_path):
    records, _ = recorded_tool("gen").weight_records(sections(build_cfg(name), tmp_path))
    floats = sum(r["nw"] + r["n"] * (4 if r["bn"] else 1) for _, _, r in records)
    assert 20 + 4 * floats == PUBLISHED_BYTES[name]


@pytest.mark.parametrize("name", PUBLISHED_BYTES)
def test_our_reader_counts_the_published_bytes_as_well(name):
    assert 20 + 4 * parse_network(build_cfg(name)).parameters == PUBLISHED_BYTES[name]


@pytest.mark.parametrize(("name", "layers"), PUBLISHED_BACKBONES)
def test_the_published_backbones_end_at_a_layer(name, layers):
    network = parse_network(build_cfg(name))
    assert 20 + 4 * sum(layer.parameters for layer in network.layers[:layers]) == PUBLISHED_BACKBONES[name, layers]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_shipped_cfg_is_what_the_builder_writes(name):
    shipped = (ROOT / "cfg" / f"{name}.cfg").read_bytes()
    assert shipped == build_cfg(name).encode(), "run: python make_cfg.py --all -o cfg --force"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_lines_are_sections_comments_or_key_value_in_ascii(name):
    text = build_cfg(name)
    assert text.isascii()
    assert "\r" not in text
    assert "\t" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in text.splitlines():
        assert line == "" or line.startswith("# ") or re.fullmatch(r"\[\w+\]|\w+=[^=#]+", line), line


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_table_tells_the_truth_about_the_heads(name):
    architecture = ARCHITECTURES[name]
    network = parse_network(build_cfg(name))
    assert architecture.name == name
    assert [(architecture.width // head.shape.width, head.options.anchor_mask) for head in network.heads] == \
        [(head.stride, head.anchor_mask) for head in architecture.heads]
    assert all(head.options.anchors == architecture.anchors for head in network.heads)


# -- other engines read them ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ARCHITECTURES)
def test_opencv_reads_and_runs_a_quarter_of_each_network(name, tmp_path):
    text = build_cfg(name, classes=2, **SMALL)
    network = parse_network(text)
    (tmp_path / "quarter.cfg").write_text(text)
    write_weights(tmp_path / "quarter.weights", network, initial_weights(network, seed=1))
    net = cv2.dnn.readNetFromDarknet(str(tmp_path / "quarter.cfg"), str(tmp_path / "quarter.weights"))
    net.setInput(np.random.default_rng(0).random((1, 3, 96, 128), dtype=np.float32))
    outputs = net.forward(net.getUnconnectedOutLayersNames())
    boxes = [3 * (96 // head.stride) * (128 // head.stride) for head in ARCHITECTURES[name].heads]
    assert sorted(output.shape for output in outputs) == sorted((n, 7) for n in boxes)
    assert all(np.isfinite(output).all() for output in outputs)


# -- other classes, anchors, widths -----------------------------------------------------------------------------------

@given(name=st.sampled_from(sorted(ARCHITECTURES)), classes=st.integers(1, 300),
       width_multiple=st.floats(0.01, 2), round_to=st.integers(1, 24), channels=st.integers(1, 4))
@settings(max_examples=40)
def test_any_width_gives_a_network_whose_shortcuts_and_halves_fit(name, classes, width_multiple, round_to, channels):
    network = parse_network(build_cfg(name, classes=classes, width=64, width_multiple=width_multiple,
                                      round_to=round_to, channels=channels))
    before_heads = {head.index - 1 for head in network.heads}
    for layer in network.layers:
        if layer.kind == "convolutional" and layer.index not in before_heads:
            assert layer.options.filters % round_to == 0
            assert layer.options.batch_normalize
        elif layer.kind == "convolutional":
            assert layer.options.filters == 3 * (5 + classes)
            assert not layer.options.batch_normalize
        elif layer.kind == "shortcut":
            assert len({shape.channels for shape in layer.input_shapes}) == 1
        elif layer.kind == "route" and layer.options.groups == 2:
            assert layer.input_shapes[0].channels % 2 == 0


@pytest.mark.parametrize(("filters", "width_multiple", "round_to", "expected"), [
    (64, 1, 8, 64), (64, 0.25, 8, 16), (16, 0.25, 8, 8), (16, 0.01, 8, 8), (100, 1, 8, 104), (32, 0.33, 8, 8),
    (32, 0.375, 8, 16), (48, 0.5, 16, 32), (255, 1, 1, 255),
])
def test_filters_go_to_the_nearest_multiple_and_halves_go_up(filters, width_multiple, round_to, expected):
    assert scaled_filters(filters, width_multiple, round_to) == expected


@pytest.mark.parametrize("side", [128, 160, 192, 224])
def test_a_quarter_of_yolov3_tiny_works_at_small_sizes(side):
    network = parse_network(build_cfg("yolov3-tiny", classes=3, width=side, width_multiple=0.25))
    assert [head.shape.width for head in network.heads] == [side // 32, side // 16]
    assert network.parameters < 700_000


def test_a_quarter_of_yolov3_keeps_all_23_shortcuts():
    network = parse_network(build_cfg("yolov3", classes=3, width=128, width_multiple=0.25))
    assert sum(layer.kind == "shortcut" for layer in network.layers) == 23
    assert len(network.layers) == 107


@pytest.mark.parametrize(("classes", "max_batches", "steps"), [
    (1, "6000", "4800,5400"), (3, "6000", "4800,5400"), (5, "10000", "8000,9000"), (20, "40000", "32000,36000"),
])
def test_iterations_follow_darknets_guide_for_own_classes(classes, max_batches, steps):
    net = parse_network(build_cfg("yolov4-tiny", classes=classes)).document.sections[0]
    assert (net.get("max_batches"), net.get("steps")) == (max_batches, steps)


def test_iterations_and_batches_can_be_given():
    net = parse_network(build_cfg("yolov4", batch=32, subdivisions=16, max_batches=1000)).document.sections[0]
    assert (net.get("batch"), net.get("subdivisions"), net.get("max_batches"), net.get("steps")) == \
        ("32", "16", "1000", "800,900")
    small = parse_network(build_cfg("yolov3", batch=4)).document.sections[0]
    assert (small.get("batch"), small.get("subdivisions")) == ("4", "4")


@pytest.mark.parametrize(("sides", "expected"), [
    ({}, (608, 608)), ({"width": 320}, (320, 320)), ({"height": 96}, (96, 96)), ({"width": 640, "height": 352}, (640, 352)),
])
def test_one_side_alone_means_a_square(sides, expected):
    shape = parse_network(build_cfg("yolov4", **sides)).input_shape
    assert (shape.width, shape.height) == expected


def test_own_anchors_are_dealt_out_with_the_first_at_the_finest_head():
    anchors = [(4.5, 6), (8, 9), (12, 20), (30, 31)]
    heads = parse_network(build_cfg("yolov4-tiny", classes=3, anchors=anchors)).heads
    assert [head.options.own_anchors for head in heads] == [((12, 20), (30, 31)), ((4.5, 6), (8, 9))]
    assert [head.input_shapes[0].channels for head in heads] == [16, 16]


def test_the_official_anchors_keep_the_official_masks_however_they_are_given():
    official = ARCHITECTURES["yolov4-tiny"].anchors
    assert build_cfg("yolov4-tiny", anchors=[list(pair) for pair in official]) == build_cfg("yolov4-tiny")


# -- refusals ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("name", "options", "message"), [
    ("yolo4-tiny", {}, "architecture: there is no 'yolo4-tiny'; did you mean yolov4-tiny?"),
    ("", {}, "choose one of yolov3, yolov3-spp, yolov3-tiny"),
    ("yolov3", {"classes": 0}, "classes: 0 is too small; use 1 or more"),
    ("yolov3", {"width": 400}, "width: 400 is not a multiple of 32 pixels, the stride of yolov3; use 384 or 416"),
    ("yolov3", {"width": 416, "height": 31}, "height: 31 is too small; use 32 or more"),
    ("yolov3", {"anchors": [(1, 2)] * 8}, "anchors: 8 of them cannot be dealt out to the 3 heads of yolov3; give 9, "
                                          "or another multiple of 3"),
    ("yolov3", {"anchors": []}, "anchors: 0 of them"),
    ("yolov3", {"anchors": [(1, 2), (3, 0), (4, 5)]}, "anchors: 3,0 is not a size"),
    ("yolov3", {"anchors": [(1, 2), (3, float("nan")), (4, 5)]}, "anchors: 3,nan is not a size"),
    ("yolov3", {"width_multiple": 0}, "width_multiple: 0 is no factor"),
    ("yolov3", {"width_multiple": float("nan")}, "width_multiple: nan is no factor"),
    ("yolov3", {"round_to": 0}, "round_to: 0 is too small"),
    ("yolov3", {"channels": 0}, "channels: 0 is too small"),
    ("yolov3", {"batch": 0}, "batch: 0 is too small"),
    ("yolov3", {"subdivisions": 3}, "subdivisions: batch=64 is not a multiple of 3"),
    ("yolov3", {"max_batches": 0}, "max_batches: 0 is too small"),
])
def test_what_no_network_can_have_is_refused_with_a_remedy(name, options, message):
    with pytest.raises(OptionError) as error:
        build_cfg(name, **options)
    assert message in str(error.value)
