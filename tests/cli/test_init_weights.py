"""Initial weights for a cfg, with gammas that a pruning can rank."""

from __future__ import annotations

import numpy as np
import pytest

from utils.cli.init_weights import main
from utils.darknet import read_network, read_weights

CFG = """[net]
width=32
height=32
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
pad=1
activation=leaky
[convolutional]
filters=18
size=1
activation=linear
[yolo]
mask=0,1,2
anchors=4,4, 8,8, 16,16
classes=1
num=3
"""


@pytest.fixture
def cfg(tmp_path):
    (tmp_path / "small.cfg").write_text(CFG)
    return tmp_path / "small.cfg"


def test_the_file_fits_its_cfg_and_gammas_are_spread(cfg, tmp_path, capsys):
    out = tmp_path / "small.weights"
    assert main(["--cfg", str(cfg), "-o", str(out), "--gamma-spread", "0.5", "--seed", "3"]) == 0
    weights = read_weights(out, read_network(cfg))
    gamma = weights.layers[0]["gamma"]
    assert len(np.unique(gamma)) == 8
    assert (gamma >= 0.5).all()
    assert (gamma <= 1.5).all()
    assert weights.header.seen == 0
    assert "untrained, it detects nothing" in capsys.readouterr().out


def test_without_a_spread_all_gammas_are_one_as_in_darknet(cfg, tmp_path):
    assert main(["--cfg", str(cfg), "-o", str(tmp_path / "a.weights")]) == 0
    assert (read_weights(tmp_path / "a.weights", read_network(cfg)).layers[0]["gamma"] == 1).all()


def test_the_same_seed_gives_the_same_bytes(cfg, tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main(["--cfg", str(cfg), "--output", str(tmp_path / name), "--seed", seed, "--gamma_spread", "0.5"]) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_an_existing_file_is_only_replaced_when_told_so(cfg, tmp_path, capsys):
    out = tmp_path / "mine.weights"
    out.write_bytes(b"precious")
    assert main(["--cfg", str(cfg), "-o", str(out)]) == 2
    assert "exists already; name another file" in capsys.readouterr().err
    assert out.read_bytes() == b"precious"
    assert main(["--cfg", str(cfg), "-o", str(out), "--force"]) == 0
