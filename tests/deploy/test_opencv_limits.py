"""Random small networks: wherever our table lets OpenCV run, OpenCV computes what ONNX Runtime computes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.deploy.pairs import random_weights
from utils.darknet import parse_network, write_cfg, write_weights
from utils.deploy import ENGINES, engine_problems, open_engine, random_images
from utils.errors import CfgError

_MISSING = [text for name in ("opencv", "onnxruntime") if (text := ENGINES[name].missing())]
pytestmark = pytest.mark.skipif(bool(_MISSING), reason=str(_MISSING))

ACTIVATIONS = st.sampled_from(["linear", "leaky", "relu", "mish", "swish", "logistic", "tanh"])


@st.composite
def sections(draw, index: int) -> str:
    """One section with random options; most are legal, none is common."""
    def options(**choices) -> str:
        return "".join(f"{key}={value}\n" for key, value in choices.items() if draw(st.integers(0, 4)) or key in (
            "from", "layers", "filters", "size", "activation", "output"))

    def whole(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    earlier = -whole(1, max(1, index))
    return draw(st.sampled_from([
        "[convolutional]\n" + options(filters=4 * whole(1, 3), size=whole(1, 5), stride=whole(1, 3), pad=whole(0, 1),
                                      padding=whole(0, 2), groups=draw(st.sampled_from([1, 1, 2, 4, 8])),
                                      batch_normalize=1, activation=draw(ACTIVATIONS)),
        "[maxpool]\n" + options(size=whole(1, 6), stride=whole(1, 3), padding=whole(0, 6)),
        "[upsample]\n" + options(stride=whole(1, 3)),
        "[reorg]\n" + options(stride=whole(1, 2)),
        "[shortcut]\n" + options(**{"from": earlier}, activation=draw(ACTIVATIONS)),
        "[route]\n" + options(layers=earlier, groups=whole(1, 2), group_id=whole(0, 1)),
        "[route]\n" + options(layers=f"{earlier},-1"),
        "[dropout]\n" + options(probability=0.5),
        "[avgpool]\n",
        "[connected]\n" + options(output=whole(1, 5), activation=draw(ACTIVATIONS)),
        "[softmax]\n" + options(temperature=1),
        "[scale_channels]\n" + options(**{"from": earlier}, activation=draw(ACTIVATIONS)),
        "[sam]\n" + options(**{"from": earlier}, activation=draw(ACTIVATIONS)),
    ]))


@st.composite
def networks(draw):
    """A cfg of two to six sections on an image of odd or even sides."""
    width, height = draw(st.integers(8, 23)), draw(st.integers(8, 23))
    count = draw(st.integers(2, 6))
    body = "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
    body += "".join(draw(sections(index)) for index in range(1, count))
    try:
        return parse_network(f"[net]\nwidth={width}\nheight={height}\nchannels=3\n{body}", "random.cfg")
    except CfgError:
        assume(False)
        raise


@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(networks())
def test_what_the_table_lets_pass_opencv_computes_right(network):
    assume(not engine_problems("opencv", network))
    shape = network.input_shape
    x = random_images(2, 3, shape.height, shape.width)
    with tempfile.TemporaryDirectory() as folder:
        cfg, weights = Path(folder, "random.cfg"), Path(folder, "random.weights")
        write_cfg(cfg, network)
        write_weights(weights, network, random_weights(network))
        last = len(network.layers) - 1
        (want,) = open_engine("onnxruntime", cfg, weights, layers=[last], threads=1).heads(x)
        (got,) = open_engine("opencv", cfg, weights, layers=[last], threads=1, epsilon_corrected=True).heads(x)
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 1e-4 * max(1, np.abs(want).max())


def test_a_mask_beyond_num_is_a_reason_not_to_run_opencv():
    network = parse_network("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=12\nsize=1\n"
                            "[yolo]\nmask=1,2\nanchors=1,2,3,4\nclasses=1\nnum=2\n", "my.cfg")
    assert any("my.cfg:9: mask=2 lies outside num=2 anchors" in reason for reason in engine_problems("opencv", network))
