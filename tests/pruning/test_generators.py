"""The generators give what their docstrings promise, and all of it."""

from __future__ import annotations

import collections

import numpy as np
from hypothesis import given, settings

from tests.generators import OPENCV_ACTIVATIONS, OPENCV_BLOCKS, cfg_texts, networks, pruning_cases
from tests.pruning.reference import forward, random_image
from utils.darknet import check_arrays, parse_network
from utils.pruning import residual_blocks


@settings(max_examples=50)
@given(cfg_texts())
def test_a_generated_cfg_is_written_back_byte_for_byte(text):
    network = parse_network(text)
    assert network.document.to_bytes().decode() == text
    assert network.heads


@settings(max_examples=30)
@given(networks(blocks=OPENCV_BLOCKS, activations=OPENCV_ACTIVATIONS))
def test_a_smaller_set_of_blocks_and_activations_is_respected(network):
    assert not {layer.kind for layer in network.layers} & {"sam", "reorg3d", "batchnorm", "activation", "local_avgpool"}
    used = {layer.options.activation for layer in network.layers if hasattr(layer.options, "activation")}
    assert used <= set(OPENCV_ACTIVATIONS)


@settings(max_examples=30)
@given(pruning_cases())
def test_weights_fit_their_network_and_keep_its_maps_finite(pruned):
    network, weights, plan = pruned
    check_arrays(network, weights)
    assert plan.fingerprint == network.fingerprint
    assert all(np.isfinite(out).all() for out in forward(network, weights, random_image(network)))


def test_every_kind_and_every_way_of_wiring_appears():
    seen: collections.Counter[str] = collections.Counter()

    @settings(max_examples=300, database=None)
    @given(networks())
    def count(network):
        for layer in network.layers:
            options = layer.options
            seen[layer.kind] += 1
            if layer.kind == "shortcut":
                seen[options.weights_type] += 1
                seen["unequal"] += len({shape.channels for shape in layer.input_shapes}) > 1
                seen["a sum of a sum"] += any(network.layers[i].kind == "shortcut" for i in layer.inputs)
                seen["several sources"] += len(options.sources) > 1
            if layer.kind == "route":
                seen["halves"] += options.groups > 1
                seen["route of a route"] += any(network.layers[i].kind == "route" for i in layer.inputs)
                seen["pooled and not"] += {"maxpool"} < {network.layers[i].kind for i in layer.inputs}
                seen["the same layer twice"] += len(set(layer.inputs)) < len(layer.inputs)
            if layer.kind == "convolutional":
                seen["grouped"] += 1 < options.groups < layer.input_shapes[0].channels
                seen["depthwise"] += options.groups == layer.input_shapes[0].channels
                seen["with batch norm" if options.batch_normalize else "with bias"] += 1
        blocks = residual_blocks(network)
        seen["a block that can go"] += bool(blocks)
        seen["a block within a block"] += any(a.shortcut in b.branch for a in blocks for b in blocks)
        seen["two heads"] += len(network.heads) == 2

    count()
    wanted = {"maxpool", "local_avgpool", "avgpool", "route", "shortcut", "scale_channels", "sam", "upsample", "reorg3d",
              "dropout", "empty", "batchnorm", "activation", "yolo", "none", "per_feature", "per_channel", "unequal",
              "several sources", "halves", "route of a route", "the same layer twice", "grouped", "depthwise",
              "with batch norm", "with bias", "two heads", "a sum of a sum", "pooled and not", "a block that can go",
              "a block within a block"}
    assert wanted <= {name for name, times in seen.items() if times}
