"""Layer by layer equals all at once, maps that nobody reads any more are gone, and the schedule keeps within its budget."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import Darknet, set_weights
from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.darknet import Network
from utils.training.lockstep import Lane, blocks_at, on_device

BLOCK = conv(3) + conv(6, 3) + "[shortcut]; from=-3; activation=linear\n"


def model_of(network: Network) -> Darknet:
    model = Darknet(network, init=False)
    set_weights(model, random_weights(network))
    return model.eval()


def images_of(network: Network, count: int, seed: int = 0) -> torch.Tensor:
    shape = network.input_shape
    images = np.random.default_rng(seed).random((count, shape.channels, shape.height, shape.width), dtype=np.float32)
    return on_device(images, torch.device("cpu"))


@settings(max_examples=20)
@given(networks(max_blocks=6), st.integers(0, 30))
@torch.inference_mode()
def test_a_block_that_joins_late_comes_to_what_the_whole_network_gives(network, late):
    lane, late = Lane(model_of(network)), min(late, len(network.layers) - 1)
    images = [images_of(network, 2, seed) for seed in (1, 2)]
    lane.join(images[0], 0)
    heads: list[list[torch.Tensor]] = [[], []]
    for layer in network.layers:
        if layer.index == late:
            lane.join(images[1], late)
        for block in range(1 + (layer.index >= late)):
            output = lane.step(block, layer.index)
            if layer.is_head:
                heads[block].append(output)
    wanted = tuple(head.inputs[0] for head in network.heads if head.index >= late)
    for block, found in zip(images, heads, strict=True):
        expected = lane.model.forward_layers(block, wanted)
        for index, output in zip(wanted, found[-len(wanted):], strict=True):
            torch.testing.assert_close(output, expected[index], rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_only_maps_that_a_later_layer_reads_are_kept():
    network = small_network(conv(6) + BLOCK + conv(5) + "[route]; layers=-1,1\n")
    lane = Lane(model_of(network))
    lane.join(images_of(network, 1), 0)
    kept = []
    for layer in network.layers:
        lane.step(0, layer.index)
        kept.append(set(lane._maps[0]))
    assert kept == [{0}, {0, 1}, {0, 1, 2}, {1, 3}, {1, 4}, {5}, {6}, set()]


def live_bytes(network: Network, index: int) -> int:
    """Of one image while a layer runs: all it and later layers read, and what it gives."""
    needed = {source for layer in network.layers[index:] for source in layer.inputs if source < index} | {index}
    return 4 * sum(network.input_shape.size if one < 0 else network.layers[one].shape.size for one in needed)


@settings(max_examples=30)
@given(networks(max_blocks=6), st.integers(2, 20), st.integers(1, 4), st.integers(1, 10**7))
def test_all_maps_of_all_blocks_fit_in_the_budget(network, blocks, images, budget):
    found = blocks_at((network, network), blocks, images, budget)
    assert len(found) == len(network.layers)
    assert found == sorted(found)
    assert all(2 <= count <= blocks for count in found)
    for index, count in enumerate(found):
        assert count == 2 or 2 * live_bytes(network, index) * count * images <= budget


def test_deep_layers_have_more_blocks_than_early_ones_and_much_memory_means_all():
    network = small_network(conv(8) + "[maxpool]; size=2; stride=2\n" + conv(8) + "[maxpool]; size=2; stride=2\n" + conv(8),
                            width=64, height=64)
    per_image = live_bytes(network, 0)
    found = blocks_at((network,), 16, 1, 4 * per_image)
    assert found[0] == 4
    assert found[-1] == 16
    assert blocks_at((network,), 16, 1, 10**9) == [16] * len(network.layers)


def test_a_network_that_lost_a_block_is_counted_at_the_layer_that_runs_beside_the_old_one():
    """The smaller one is behind in its own numbering: its early, large maps are still there."""
    body = conv(6) + BLOCK + "[maxpool]; size=2; stride=2\n" + conv(6) + conv(6)
    network, smaller = small_network(body, width=64, height=64), small_network(body.replace(BLOCK, ""), width=64, height=64)
    budget = 10 * live_bytes(network, 0)
    found = blocks_at((network, smaller), 100, 1, budget)
    place = {index: index if index < 1 else max(0, index - 3) for index in range(len(network.layers))}
    for index, count in enumerate(found):
        both = live_bytes(network, index) + live_bytes(smaller, place[index])
        assert count == 2 or count * both <= budget


@pytest.mark.parametrize("budget", [0, 1])
def test_two_blocks_are_the_least(budget):
    network = small_network(conv(4))
    assert set(blocks_at((network, network), 9, 4, budget)) == {2}
