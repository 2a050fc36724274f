"""Anchors of a data set: where there are as many sizes of boxes as anchors, they are those sizes as the network will see them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from utils.cli.found_anchors import found_anchors
from utils.cli.training.arguments import training_parser
from utils.cli.training.inputs import training_inputs
from utils.darknet import parse_network
from utils.darknet.builder import build_cfg

SIZES = ((0.05, 0.1), (0.1, 0.1), (0.2, 0.2), (0.5, 0.25), (0.3, 0.6), (0.75, 0.9))
STRETCHED = [(64 * w, 64 * h) for w, h in SIZES]
LETTERBOXED = [(64 * w, 32 * h) for w, h in SIZES]  # a picture of 100x50 fills half of a square


@pytest.fixture
def wide_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with my.data: one image of 100x50 that has ten boxes of each size."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.zeros((50, 100, 3), np.uint8))
    Path("a.txt").write_text("".join(f"0 0.5 0.5 {w} {h}\n" for w, h in SIZES for _ in range(10)))
    Path("list.txt").write_text("a.png\n")
    Path("my.names").write_text("one\n")
    Path("my.data").write_text("classes=1\ntrain=list.txt\nvalid=list.txt\nnames=my.names\n")
    return tmp_path


@pytest.mark.parametrize(("letterbox", "expected"), [(False, STRETCHED), (True, LETTERBOXED)])
def test_the_sizes_of_the_boxes_are_found(wide_images, letterbox, expected):
    net = parse_network(build_cfg("yolov3-tiny", width=64)).net
    found = found_anchors(Path("list.txt"), 1, len(SIZES), net, letterbox=letterbox)
    np.testing.assert_allclose(sorted(found), sorted(expected), atol=0.051)


@pytest.mark.parametrize(("words", "expected"), [
    ([], STRETCHED), (["--letterbox", "yes"], LETTERBOXED), (["--rect"], LETTERBOXED), (["--letterbox", "no"], STRETCHED),
])
def test_a_training_makes_its_anchors_for_boxes_as_it_will_show_them(wide_images, words, expected):
    args = training_parser("").parse_args(["--arch", "yolov3-tiny", "--img_size", "64", "--data", "my.data", *words])
    (head, _) = training_inputs(args).network.heads
    np.testing.assert_allclose(sorted(head.options.anchors), sorted(expected), atol=0.051)


def test_labels_that_mean_nothing_are_told(wide_images, caplog):
    with Path("a.txt").open("a") as labels:
        labels.write("7 0.5 0.5 0.1 0.1\n")
    net = parse_network(build_cfg("yolov3-tiny", width=64)).net
    found_anchors(Path("list.txt"), 1, len(SIZES), net, letterbox=False)
    assert "1 lines were left out; the first: " in caplog.text
