"""Torch-Pruning, which traces a model, forms the same groups of channels as the rules that are read off the cfg.

It follows autograd's graph of a forward pass (Fang et al., CVPR 2023, https://arxiv.org/abs/2301.12900) and knows nothing of
cfgs; so the two agree only if both are right. Compared channel by channel: removing this output of that convolution removes
these outputs and these inputs of those convolutions.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torch_pruning as tp
from torch import Tensor, nn

from models import Darknet
from tests.generators import random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import forward, random_image
from tests.pruning.test_groups import conv
from utils.darknet import Network, Same, parse_network
from utils.darknet.builder import ARCHITECTURES, build_cfg
from utils.layers.base import DarknetLayer
from utils.layers.convolution import ConvolutionalLayer
from utils.pruning import ChannelGroups, channel_groups

Members = set[tuple[int, str, int]]
"""(layer, "out" or "in", channel) of convolutions."""


class TracedConvolution(DarknetLayer):
    """A convolution as Torch-Pruning wants it: an nn.Conv2d, not a parameter."""

    def __init__(self, layer: ConvolutionalLayer) -> None:
        super().__init__(layer.section)
        options = layer.section.options
        self.conv = nn.Conv2d(layer.section.input_shapes[0].channels, options.filters, options.size, layer.stride,
                              layer.padding, layer.dilation, layer.groups, bias=layer.bn is None)
        self.bn, self.activate = layer.bn, layer.activate

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.activate(x if self.bn is None else self.bn(x))


class Traced(nn.Module):
    """What heads read, behind traced convolutions; the graph that Torch-Pruning found."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.model = Darknet(network).eval()
        for index, layer in enumerate(self.model.layers):
            if isinstance(layer, ConvolutionalLayer):
                self.model.layers[index] = TracedConvolution(layer)
        self.heads = [head.inputs[0] for head in network.heads]
        shape = network.input_shape
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.graph = tp.DependencyGraph().build_dependency(self, torch.rand(1, shape.channels, shape.height, shape.width))
        self.layers = {layer.conv: index for index, layer in enumerate(self.model.layers)
                       if isinstance(layer, TracedConvolution)}

    def forward(self, x: Tensor) -> list[Tensor]:
        return list(self.model.forward_layers(x, self.heads).values())

    def members(self, conv: nn.Conv2d, channel: int) -> Members:
        group = self.graph.get_pruning_group(conv, tp.prune_conv_out_channels, [channel])
        found = set()
        for step, channels in group:
            if step.target.module in self.layers:
                side = "out" if self.graph.is_out_channel_pruning_fn(step.handler) else "in"
                found |= {(self.layers[step.target.module], side, int(c)) for c in channels}
        return found


def ours(network: Network, groups: ChannelGroups, layer: int, channel: int) -> Members:
    number = groups.vectors[layer][channel]
    found = set()
    for one in network.layers:
        if one.kind == "convolutional":
            found |= {(one.index, "out", int(c)) for c in np.flatnonzero(groups.vectors[one.index] == number)}
            if not isinstance(one.rule, Same):  # of a depthwise convolution Torch-Pruning names the output only
                found |= {(one.index, "in", int(c)) for c in np.flatnonzero(groups.vector(one.inputs[0]) == number)}
    return found


def check(network: Network) -> int:
    """Compare the first, the middle and the last channel of each convolution; returns how many were compared."""
    traced, groups = Traced(network), channel_groups(network)
    compared = 0
    for module, layer in traced.layers.items():
        for channel in {0, module.out_channels // 2, module.out_channels - 1}:
            assert traced.members(module, channel) == ours(network, groups, layer, channel), (layer, channel)
            compared += 1
    return compared


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_groups_of_every_architecture_are_the_same(name):
    """Routes of halves, the repeated sources of an SPP, chains of shortcuts, CSP stages: nothing differs.

    What a head reads is free for Torch-Pruning and fixed here; it is compared all the same, as a group of its own.
    """
    network = parse_network(build_cfg(name, width_multiple=0.1, width=64, height=64, classes=2))
    assert check(network) >= 3 * sum(layer.kind == "convolutional" for layer in network.layers)


@pytest.mark.parametrize("body", [
    conv(6) + conv(6, 3, groups=6) + conv(4),
    conv(6) + conv(8, 3, groups=2) + conv(4),  # it evens out groups later, when it chooses, as `completed` does here
    conv(6) + "[avgpool]\n" + conv(3) + conv(6) + "[scale_channels]; from=0\n" + conv(4),
    conv(6) + conv(6) + "[sam]; from=0\n" + conv(4),
    conv(6) + conv(6) + conv(6) + "[shortcut]; from=-2,-3; activation=linear\n" + conv(4),
    conv(8) + conv(3) + conv(6) + "[shortcut]; from=0; activation=linear\n" + conv(4),
    conv(6) + conv(5) + "[route]; layers=-1,0\n[route]; layers=-1,-2\n" + conv(4),
    conv(6) + "[maxpool]; size=3; stride=1\n[upsample]; stride=2\n[dropout]\n[batchnorm]\n" + conv(4),
    conv(8) + "[route]; layers=-1; groups=2; group_id=1\n" + conv(4),
], ids=["depthwise", "grouped", "squeeze-and-excite", "sam", "several sources", "a wider source", "route of a route",
        "plain", "slice"])
def test_the_groups_of_other_wirings_are_the_same(body):
    check(small_network(body))


def reached(network: Network, layer: int, channel: int, reader: int) -> Members:
    """Which inputs of a convolution change with a channel, by trying; convolutions between that make new channels are silent."""
    weights = random_weights(network)
    for one in network.layers[layer + 1:reader]:
        if one.kind == "convolutional" and not isinstance(one.rule, Same):
            weights.layers[one.index]["weight"][:] = 0
    x, source = random_image(network), network.layers[reader].inputs[0]
    before = forward(network, weights, x)[source]
    weights.layers[layer]["beta"][channel] += 1
    changed = (forward(network, weights, x)[source] != before).any(axis=(0, 2, 3))
    return {(reader, "in", int(c)) for c in np.flatnonzero(changed)}


@pytest.mark.parametrize(("body", "channel", "reader"), [
    # it counts the second slice of a concatenation from 0, and so ties channels of layers that have nothing in common
    (conv(8) + conv(8) + "[route]; layers=-1,0; groups=2; group_id=1\n" + conv(4), 5, 3),
    # it takes the reshapes of a space-to-depth for a flattening, a channel becoming a run of neighbours
    (conv(6) + "[reorg3d]; stride=2\n" + conv(4), 1, 2),
    # it knows depthwise convolutions with as many outputs as inputs; others are grouped ones, whose channels are free
    (conv(6) + conv(12, 3, groups=6) + conv(4), 2, 2),
], ids=["two slices", "space to depth", "depthwise with a multiplier"])
def test_where_it_differs_a_forward_pass_says_who_is_right(body, channel, reader):
    network = small_network(body)
    traced, groups = Traced(network), channel_groups(network)
    first = {index: module for module, index in traced.layers.items()}[0]
    truth = reached(network, 0, channel, reader)
    assert truth
    assert {member for member in ours(network, groups, 0, channel) if member[:2] == (reader, "in")} == truth
    assert {member for member in traced.members(first, channel) if member[:2] == (reader, "in")} != truth


def test_channels_that_only_the_wider_summand_has_are_free_here():
    """A sum of unequal widths is a slice of a copy that is added to in place: it follows the copy to the end."""
    network = small_network(conv(6) + conv(3) + conv(8) + "[shortcut]; from=0; activation=linear\n" + conv(4))
    traced, groups = Traced(network), channel_groups(network)
    wider = {index: module for module, index in traced.layers.items()}[2]
    for channel in range(8):
        theirs, own = traced.members(wider, channel), ours(network, groups, 2, channel)
        assert theirs - own == ({(0, "out", channel), (1, "in", channel)} if channel >= 6 else set())
        assert own <= theirs
