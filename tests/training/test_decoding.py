"""From an engine's raw heads to boxes: every kind of head, and heads that are not those of the cfg."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models import Darknet
from utils.darknet import parse_network
from utils.errors import CfgError, EngineError
from utils.training import HeadDecoder, ModelEngine, Selection

BODY = """[net]
width=64
height=32
channels=3
[convolutional]
filters={filters}
size=3
stride=16
pad=1
activation={activation}
[{kind}]
anchors={anchors}
num=2
classes=3
{more}
"""
HEADS = {
    "yolo": ("yolo", 16, "linear", "4,5, 20,30", "mask=0,1\nscale_x_y=1.2"),
    "new coords": ("yolo", 16, "logistic", "4,5, 20,30", "mask=0,1\nscale_x_y=2\nnew_coords=1"),
    "gaussian": ("Gaussian_yolo", 24, "linear", "4,5, 20,30", "mask=0,1"),
    "region": ("region", 16, "linear", "0.5,0.5, 2,2", "softmax=1"),
}


def network_with(head: str):
    kind, filters, activation, anchors, more = HEADS[head]
    return parse_network(BODY.format(kind=kind, filters=filters, activation=activation, anchors=anchors, more=more))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", [(32, 64), (64, 96)])
def test_an_engines_heads_decode_to_the_models_own_predictions(head, size):
    network = network_with(head)
    model = Darknet(network).eval()
    x = torch.rand(2, 3, *size)
    with torch.inference_mode():
        expected, _ = model(x)
    heads = ModelEngine(model).heads(x.numpy())
    torch.testing.assert_close(HeadDecoder(network).decode(heads, *size), expected)


def test_a_confident_cell_gives_the_box_that_darknets_formula_gives():
    """get_yolo_box by hand: cell (2, 1) of 4x2, anchor 20x30, stride 16."""
    network = network_with("yolo")
    raw = np.full((1, 16, 2, 4), -20.0, np.float32)
    raw[0, 8:12, 1, 2] = [0.3, -0.4, 0.1, -0.2]  # second anchor
    raw[0, 12, 1, 2], raw[0, 15, 1, 2] = 2.0, 1.0  # objectness, class 2
    (predictions,) = HeadDecoder(network).decode([raw], 32, 64)
    found = HeadDecoder(network).select(predictions, Selection(conf=0.25), (64, 32))

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    x = (2 + sigmoid(0.3) * 1.2 - 0.1) * 16
    y = (1 + sigmoid(-0.4) * 1.2 - 0.1) * 16
    w, h = np.exp(0.1) * 20, np.exp(-0.2) * 30
    assert found.shape == (1, 6)
    np.testing.assert_allclose(found[0], [x - w / 2, y - h / 2, x + w / 2, y + h / 2, sigmoid(2) * sigmoid(1), 2],
                               rtol=1e-5)


def test_a_region_head_counts_boxes_by_their_probability_alone():
    """Darknet sets a region box's objectness to 1: only objectness x class must exceed the threshold."""
    network = network_with("region")
    raw = np.full((1, 16, 2, 4), -20.0, np.float32)
    raw[0, :5, 0, 0] = [0, 0, 0, 0, 0.0]  # objectness one half
    raw[0, 5, 0, 0] = 20.0
    (predictions,) = HeadDecoder(network).decode([raw], 32, 64)
    decoder = HeadDecoder(network)
    assert len(decoder.select(predictions, Selection(conf=0.49), (64, 32))) == 1
    assert len(decoder.select(predictions, Selection(conf=0.51), (64, 32))) == 0


def test_heads_of_another_network_are_an_error():
    decoder = HeadDecoder(network_with("yolo"))
    with pytest.raises(EngineError, match="the engine gave 2 heads, the cfg has 1"):
        decoder.decode([np.zeros((1, 16, 2, 4))] * 2, 32, 64)
    with pytest.raises(EngineError, match=r"the engine gave \(1, 24, 2, 4\)"):
        decoder.decode([np.zeros((1, 24, 2, 4))], 32, 64)


def test_a_network_without_heads_detects_nothing_and_says_so():
    with pytest.raises(CfgError, match=r"has no \[yolo\]"):
        HeadDecoder(parse_network("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=2\nsize=1\n"))


def test_a_model_in_training_is_evaluated_as_in_use_and_then_trains_on():
    model = Darknet(network_with("yolo")).train()
    x = np.random.default_rng(0).random((1, 3, 32, 64), np.float32)
    first = ModelEngine(model).heads(x)[0]
    assert model.training
    model.eval()
    np.testing.assert_array_equal(first, ModelEngine(model).heads(x)[0])
    assert not model.training


@pytest.mark.gpu
def test_a_gpu_computes_what_the_cpu_computes():
    model = Darknet(network_with("yolo")).eval()
    x = np.random.default_rng(0).random((2, 3, 32, 64), np.float32)
    on_cpu = ModelEngine(model).heads(x)[0]
    on_gpu = ModelEngine(model.to("cuda")).heads(x)[0]
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4)
