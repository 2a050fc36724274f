"""compress.py on every kind of network that is read, to the end: smaller, verified in another engine, and far from broken."""

from __future__ import annotations

import json

import numpy as np
import pytest

from models import load_model
from tests.cfg_text import cfg, convolution, net, output, section, shortcut, yolo
from tests.cli.compression.test_command import run
from tests.generators import random_weights
from utils.darknet import parse_network, write_weights

HEAD = output(21) + yolo("5,5, 8,8, 16,16")
STEM = cfg(net(64), convolution(16, stride=2), convolution(24, stride=2))
POINTWISE = {"batch_normalize": 1, "size": 1, "activation": "leaky"}
BODIES = {
    "depthwise": cfg(STEM, section("convolutional", **POINTWISE, filters=48), convolution(48, groups=48),
                     section("convolutional", **POINTWISE, filters=24), shortcut(-4), convolution(32, stride=2), HEAD),
    "squeeze and excite": cfg(STEM, section("avgpool"), section("convolutional", filters=8, size=1, activation="relu"),
                              section("convolutional", filters=24, size=1, activation="logistic"),
                              section("scale_channels", from_=-4), convolution(32, stride=2), HEAD),
    "spatial attention": cfg(STEM, section("convolutional", filters=24, size=1, activation="logistic"), section("sam", from_=-2),
                             convolution(32, stride=2), HEAD),
    "groups": cfg(STEM, convolution(32, groups=4), convolution(32, stride=2, groups=2), convolution(32), HEAD),
    "halves": cfg(STEM, section("route", layers=-1, groups=2, group_id=1), convolution(12), convolution(12),
                  section("route", layers="-1,-2"), section("convolutional", **POINTWISE, filters=24),
                  section("route", layers="-6,-1"), convolution(32, stride=2), HEAD),
    "SPP": cfg(STEM, convolution(16, stride=2), section("maxpool", size=3, stride=1), section("route", layers=-2),
               section("maxpool", size=5, stride=1), section("route", layers="-1,-3,-4"), convolution(32), HEAD),
    "two heads": cfg(STEM, convolution(48, stride=2), output(14), yolo("5,5, 8,8, 16,16", mask="1,2"), section("route", layers=-3),
                     section("convolutional", **POINTWISE, filters=16), section("upsample", stride=2),
                     section("route", layers="-1,1"), convolution(24), output(7), yolo("5,5, 8,8, 16,16", mask="0")),
    "shared kernels": cfg(STEM, convolution(24), convolution(24, share_index=2), convolution(32, stride=2), HEAD),
    "region": cfg(STEM, convolution(32), section("reorg", stride=2), convolution(32), output(14),
                  section("region", anchors="0.5,0.5, 2,2", classes=2, coords=4, num=2, softmax=1)),
    "gaussian": cfg(STEM, convolution(32, stride=2), output(22),
                    section("Gaussian_yolo", mask="0,1", anchors="5,5, 16,16", classes=2, num=2)),
}


@pytest.mark.parametrize("name", BODIES)
def test_it_goes_through_and_what_it_writes_is_verified(name, data, tmp_path, capsys):
    """A fifth of the parameters go; of what the heads read, most is still there."""
    text = BODIES[name]
    network = parse_network(text)
    pair = tmp_path / "my.cfg", tmp_path / "last.weights"
    pair[0].write_text(text)
    write_weights(pair[1], network, random_weights(network, 3))
    assert run(pair, "--images", data.parent / "images", "--target", "1.25x", "--out", tmp_path / "out") == 0
    facts = json.loads((tmp_path / "out" / "compressed_1.25x_my.json").read_text())
    assert facts["after"]["parameters"] <= facts["before"]["parameters"] / 1.25
    assert facts["verification"]["status"] == "verified", capsys.readouterr()
    x = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    before, after = (heads(*files, x) for files in (pair, [tmp_path / "out" / f"compressed_1.25x_{one.name}" for one in pair]))
    for old, new in zip(before, after, strict=True):
        assert np.square(new - old).mean() < 0.5 * old.var()


def heads(cfg_path, weights_path, x: np.ndarray) -> list[np.ndarray]:
    """The raw heads of a pair."""
    import torch

    model = load_model(cfg_path, weights_path).eval()
    with torch.inference_mode():
        return [head.numpy() for head in model(torch.from_numpy(x))[1]]
