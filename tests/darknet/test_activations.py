"""Activation functions against the outputs that the real executable recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.shared import SHARED, needs_shared, recorded_tool
from utils.darknet import ACTIVATIONS, read_network, read_weights

PROBES = sorted(p for p in SHARED.glob("darknet/probes/act_*.json") if p.stem != "act_relu6")


@needs_shared
@pytest.mark.parametrize("path", PROBES, ids=lambda p: p.stem)
def test_a_one_layer_network_gives_what_darknet_recorded(path, tmp_path):
    """act_relu6 is left out: AlexeyAB's CPU build forgot it and writes zeros; its GPU code clamps to 0..6."""
    cfg, raw, x = recorded_tool("gen").build_case(path.parent, path.stem)
    (tmp_path / "w").write_bytes(raw)
    network = read_network(cfg)
    assert json.loads(path.read_text())["weights_bytes"] == len(raw)
    for layer, arrays in zip(network.layers, read_weights(tmp_path / "w", network).layers, strict=True):
        if layer.kind == "upsample":
            assert layer.options.stride == 1
            x = x * layer.options.scale
            continue
        assert layer.options.size == 1
        out = np.einsum("oi,ihw->ohw", arrays["weight"][:, :, 0, 0].astype(np.float64), x.astype(np.float64))
        if "gamma" in arrays:
            scale = arrays["gamma"] / np.sqrt(arrays["var"].astype(np.float64) + 1e-5)
            out = (out - arrays["mean"][:, None, None]) * scale[:, None, None] + arrays["beta"][:, None, None]
        else:
            out += arrays["bias"][:, None, None]
        x = ACTIVATIONS[layer.options.activation].function(out)
    recorded = np.load(path.with_suffix(".npz"))["out"].reshape(x.shape)
    assert (np.abs(x - recorded) / np.maximum(1, np.abs(recorded))).max() < 1e-5


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_an_activation_survives_large_arguments(name):
    x = np.array([[-1e4], [-100.0], [-1.0], [0.0], [1.0], [80.0]], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        assert np.isfinite(ACTIVATIONS[name].function(x)).all()
