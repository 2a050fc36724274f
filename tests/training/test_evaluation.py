"""Evaluation from end to end with engines whose answer is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from utils.darknet import parse_network
from utils.datasets import DetectionDataset, Geometry
from utils.errors import DataError
from utils.training import Detector, Selection, evaluate_engine

CFG = """[net]
width=96
height=64
channels=3
[convolutional]
filters=7
size=3
stride=16
pad=1
activation=linear
[yolo]
mask=0
anchors=20,30
classes=2
num=1
"""
SIZES = [(50, 100), (64, 96), (120, 40)]  # height, width of the images
LABELS = [np.array([[0, 0.52, 0.41, 0.3, 0.5]]), np.zeros((0, 5)),
          np.array([[1, 0.3, 0.7, 0.4, 0.2], [0, 0.8, 0.2, 0.3, 0.3]])]


class Oracle:
    """An engine that knows the labels of each image, whose number is written into its first pixel."""

    name = "oracle"
    threads = None

    def __init__(self, letterbox: bool, confidence: float = 8.0) -> None:
        self.letterbox, self.confidence, self.calls = letterbox, confidence, []

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        self.calls.append(len(x))
        head = np.full((len(x), 7, 4, 6), -20.0, np.float32)
        for one, image in zip(head, x, strict=True):
            number = round(float(image.max() * 255)) // 50 - 1
            height, width = SIZES[number]
            labels = Geometry(width, height, 96, 64, self.letterbox).labels_to_net(LABELS[number])
            for index, xc, yc, w, h in labels.astype(float):
                column, row = int(xc * 6), int(yc * 4)
                offset = np.array([xc * 6 - column, yc * 4 - row])
                one[0:2, row, column] = np.log(offset / (1 - offset))
                one[2:4, row, column] = np.log([w * 96 / 20, h * 64 / 30])
                one[4, row, column] = one[5 + int(index), row, column] = self.confidence
        return [head]


@pytest.fixture
def dataset(tmp_path):
    paths = []
    for number, size in enumerate(SIZES):
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), np.full((*size, 3), 50 * (number + 1), np.uint8))
    return DetectionDataset(paths, LABELS, ["cat", "dog"])


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_an_engine_that_knows_the_labels_scores_one_by_every_definition(dataset, letterbox, batch_size):
    """Boxes come back to the pixels of images wider, equal and higher than the network's input, one with no object."""
    engine = Oracle(letterbox)
    done = []
    if letterbox:  # the grey around an image must not hide the number that the oracle reads
        engine.heads = lambda x, plain=engine.heads: plain(np.where(x == 0.5, 0, x))
    result = evaluate_engine(engine, parse_network(CFG), dataset, letterbox=letterbox, batch_size=batch_size,
                             advance=done.append)
    metrics = result.metrics
    assert (metrics.precision, metrics.recall, metrics.map50_coco, metrics.map50_darknet) == pytest.approx((1,) * 4)
    assert metrics.map == pytest.approx(1, abs=0.02)
    assert [len(found) for found in result.detections] == [1, 0, 2]
    assert sum(done) == 3
    assert max(engine.calls) <= batch_size
    assert result.sizes == ((100, 50), (96, 64), (40, 120))


def test_boxes_are_cut_at_the_border_of_the_picture_unless_told_otherwise():
    class Wide:
        name, threads = "wide", None

        def heads(self, x):
            head = np.full((1, 7, 4, 6), -20.0, np.float32)
            head[0, :, 0, 0] = [0, 0, 3, 3, 9, 9, -20]
            return [head]

    image = np.zeros((64, 96, 3), np.uint8)
    network = parse_network(CFG)
    (cut,) = Detector(Wide(), network, selection=Selection(0.5)).detect([image])
    (whole,) = Detector(Wide(), network, selection=Selection(0.5), clip=False).detect([image])
    np.testing.assert_allclose(cut[0, :2], 0)
    assert whole[0, :2].max() < 0


def test_no_pictures_give_no_detections():
    assert Detector(Oracle(False), parse_network(CFG)).detect([]) == []


def test_a_low_confidence_shows_in_the_threshold_and_not_in_the_map(dataset):
    metrics = evaluate_engine(Oracle(False, confidence=0.0), parse_network(CFG), dataset).metrics
    assert metrics.confidence == pytest.approx(0.25, abs=1e-6)
    assert metrics.map50_coco == pytest.approx(1)


def test_another_number_of_names_is_an_error(dataset):
    with pytest.raises(DataError, match="there are 3, but the heads of .* know 2 classes"):
        evaluate_engine(Oracle(False), parse_network(CFG), dataset, names=["a", "b", "c"])


def test_an_empty_data_set_is_an_error():
    with pytest.raises(DataError, match="no images to evaluate on"):
        evaluate_engine(Oracle(False), parse_network(CFG), DetectionDataset([], []))


def test_the_engines_time_is_its_own(dataset):
    result = evaluate_engine(Oracle(False), parse_network(CFG), dataset)
    assert 0 < result.seconds < 5
    assert result.milliseconds_per_image == pytest.approx(1000 * result.seconds / 3)
