"""Pairs that others trained: our boxes against detections that another program recorded on the same pictures."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from models import load_model
from tests.shared import SHARED, needs_shared
from utils.darknet import read_network
from utils.training import HeadDecoder, ModelEngine, Selection

pytestmark = needs_shared
FOLDER = SHARED / "weights"
PAIRS = sorted(path.parent.name for path in FOLDER.glob("*/model.cfg"))


def plain_suppression(network):
    """The recorded detections were made with plain IoU, whatever nms_kind= says."""
    head = network.heads[-1]
    return network if head.kind == "region" else network.with_options({head.index: {"nms_kind": "default"}})


@pytest.mark.parametrize("name", PAIRS)
def test_detections_are_the_recorded_ones(name):
    """Recorded by OpenCV (with Darknet's epsilon), its resize included, so that only network and decoding are ours."""
    network = plain_suppression(read_network(FOLDER / name / "model.cfg"))
    engine = ModelEngine(load_model(network, FOLDER / name / "model.weights").fuse())
    decoder = HeadDecoder(network)
    width, height = network.net.width, network.net.height
    recorded = json.loads((FOLDER / "expected" / f"{name}.json").read_text())
    for picture, record in recorded["images"].items():
        image = cv2.imread(str(FOLDER / "images" / picture))
        size = np.array([image.shape[1], image.shape[0]] * 2, float)
        blob = cv2.dnn.blobFromImage(image, 1 / 255, (width, height), swapRB=True)
        (predictions,) = decoder.decode(engine.heads(blob), height, width)
        found = decoder.select(predictions, Selection(conf=0.25, iou=0.45), (width, height))
        boxes = np.clip(found[:, :4] * size / [width, height, width, height], 0, size)
        wanted = record["bn_eps_1e-5_alexeyab"]
        assert [one["cls"] for one in wanted] == found[:, 5].tolist(), picture
        np.testing.assert_allclose(found[:, 4], [one["conf"] for one in wanted], atol=2e-5, err_msg=picture)
        np.testing.assert_allclose(boxes, np.array([one["box"] for one in wanted]).reshape(-1, 4), atol=0.02,
                                   err_msg=picture)


@pytest.mark.parametrize("name", PAIRS)
def test_heads_are_the_recorded_ones(name):
    network = read_network(FOLDER / name / "model.cfg")
    engine = ModelEngine(load_model(network, FOLDER / name / "model.weights").fuse())
    recorded = np.load(FOLDER / "raw_heads" / f"{name}.npz")
    image = recorded["input_u8"]
    heads = engine.heads(image.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    for layer, head in zip(network.heads, heads, strict=True):
        wanted = recorded[f"head_{layer.index}"].reshape(head.shape)
        assert np.abs(head - wanted).max() <= 1e-4 * max(1.0, float(np.ptp(wanted)))
