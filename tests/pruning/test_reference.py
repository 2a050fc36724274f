"""The forward pass that these tests trust gives what Darknet's own executable gave."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from tests.pruning.reference import forward
from tests.shared import SHARED, needs_shared
from utils.darknet import read_network, read_weights

PROBES = ("conv_antialias1", "conv_antialias2", "conv_bias_only", "conv_depthwise", "conv_dilation2", "conv_groups4",
          "conv_k3s1_pad0", "conv_k3s2", "conv_k4s2", "conv_stride_x2_y1", "batchnorm_layer", "dropout", "empty_layer",
          "local_avgpool_k3s1", "maxpool_antialias", "maxpool_k2s1", "maxpool_k2s2", "maxpool_k5s1", "reorg3d_2",
          "route_group1of2", "route_group2of4_multi", "route_spaces_and_order", "sam", "scale_channels",
          "shortcut_from_fewer_channels", "shortcut_from_more_channels", "shortcut_mish",
          "shortcut_multi_mixed_channels", "shortcut_per_channel_mixed", "shortcut_per_channel_relu",
          "shortcut_per_channel_softmax", "shortcut_per_feature_relu", "shortcut_per_feature_softmax",
          "upsample3_scale", "activation_layer", "avgpool")


@needs_shared
@pytest.mark.parametrize("name", PROBES)
def test_the_reference_agrees_with_darknets_executable(name, tmp_path):
    spec = importlib.util.spec_from_file_location("gen", SHARED / "darknet" / "gen.py")
    gen = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gen)
    folder = SHARED / "darknet" / "probes"
    cfg, raw, image = gen.build_case(str(folder), name)
    path = tmp_path / "probe.weights"
    path.write_bytes(raw)
    network = read_network(cfg)
    index = json.loads((folder / f"{name}.json").read_text())["last_layer"][0]
    out = forward(network, read_weights(path, network), image[None])[index]
    recorded = np.load(folder / f"{name}.npz")["out"]
    np.testing.assert_allclose(out.ravel(), recorded.ravel(), rtol=1e-5, atol=1e-5)
