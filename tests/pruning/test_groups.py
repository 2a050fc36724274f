"""Channel groups: the census of well-known networks, and each rule on a network small enough to see."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from tests.generators import networks
from tests.pruning.compared import small_network
from tests.shared import SHARED, needs_shared
from utils.darknet import Fixed, Fresh, Network, Same, Tied, parse_network, read_network
from utils.pruning import ChannelGroups, channel_groups

CFG = Path(__file__).resolve().parents[2] / "cfg"


def case(name: str) -> Network:
    return read_network(SHARED / "darknet" / "cases" / f"{name}.cfg")


def conv(filters: int, size: int = 1, **options: object) -> str:
    extra = "; ".join(f"{key}={value}" for key, value in options.items())
    return f"[convolutional]; batch_normalize=1; filters={filters}; size={size}; pad=1; activation=leaky; {extra}\n"


STAGES = [2, 3, 9, 9, 5]  # five stages with 1, 2, 8, 8 and 4 residual blocks, each with the convolution that they begin at


@pytest.mark.parametrize(("name", "convolutions", "shortcuts", "coupled", "halves"), [
    ("yolov3", 75, 23, STAGES, []),
    ("yolov3-spp", 76, 23, STAGES, []),
    ("yolov3-tiny", 13, 0, [], []),
    ("yolov4", 110, 23, STAGES, []),
    ("yolov4-csp", 115, 23, STAGES, []),
    ("yolov4-tiny", 21, 0, [], [(3, 2, 64), (11, 2, 128), (19, 2, 256)]),
    ("yolov4-tiny-3l", 24, 0, [], [(3, 2, 64), (11, 2, 128), (19, 2, 256)]),
    ("yolov7", 92, 0, [], []),
    ("yolov7-tiny", 58, 0, [], []),
])
def test_the_census_of_the_cfgs_that_ship(name, convolutions, shortcuts, coupled, halves):
    network = read_network(CFG / f"{name}.cfg")
    kinds = [layer.kind for layer in network.layers]
    groups = channel_groups(network)
    assert (kinds.count("convolutional"), kinds.count("shortcut")) == (convolutions, shortcuts)
    assert [len(members) for members in groups.coupled_layers] == coupled
    assert [(balance.layer, balance.blocks, len(balance.classes)) for balance in groups.balances] == halves


def test_the_census_leaves_no_cfg_out():
    (census,) = test_the_census_of_the_cfgs_that_ship.pytestmark
    assert sorted(row[0] for row in census.args[1]) == sorted(path.stem for path in CFG.glob("*.cfg"))


def test_the_chains_of_yolov3_begin_at_the_convolution_that_halves_the_map():
    network = read_network(CFG / "yolov3.cfg")
    chains = channel_groups(network).coupled_layers
    assert [network.layers[chain[0]].options.stride_x for chain in chains] == [2] * 5


def test_the_chains_of_yolov4_begin_behind_the_route_of_a_csp_stage():
    assert channel_groups(read_network(CFG / "yolov4.cfg")).coupled_layers[0] == (4, 6)


@needs_shared
@pytest.mark.parametrize("name", ["yolov4", "yolov7", "csresnext50-panet-spp"])
def test_the_groups_of_a_large_cfg_take_less_than_a_second(name):
    network = case(name)
    start = time.perf_counter()
    channel_groups(network)
    assert time.perf_counter() - start < 1


@needs_shared
@pytest.mark.parametrize("path", sorted(SHARED.glob("darknet/cases/*.cfg")), ids=lambda path: path.stem)
def test_only_the_image_heads_and_reorg_are_fixed_in_real_networks(path):
    groups = channel_groups(read_network(path))
    reasons = {groups.reason(k) for k in np.flatnonzero(groups.fixed)}
    assert all("image" in r or "input" in r or "head" in r or "output" in r or "[reorg]" in r for r in reasons)


def test_a_depthwise_convolution_follows_what_it_reads():
    groups = channel_groups(small_network(conv(3) + conv(6, 3, groups=3) + conv(4)))
    source, depthwise = groups.vectors[0], groups.vectors[1]
    assert depthwise.tolist() == np.repeat(source, 2).tolist()
    assert groups.producers == (0, 2, 3)


def test_a_route_lists_its_sources_in_order_even_twice():
    groups = channel_groups(small_network(conv(3) + conv(2) + "[route]; layers=-1,0,-1\n" + conv(4)))
    first, second = groups.vectors[:2]
    assert groups.vectors[2].tolist() == [*second, *first, *second]


def test_a_route_with_groups_takes_a_block_of_each_source_and_asks_for_balance():
    groups = channel_groups(small_network(conv(4) + conv(2) + "[route]; layers=-1,0; groups=2; group_id=1\n" + conv(4)))
    assert groups.vectors[2].tolist() == [*groups.vectors[1][1:], *groups.vectors[0][2:]]
    assert [(b.blocks, b.classes.tolist()) for b in groups.balances] == [
        (2, groups.vectors[1].tolist()), (2, groups.vectors[0].tolist())]


def test_a_grouped_convolution_asks_for_balance_on_both_sides():
    groups = channel_groups(small_network(conv(4) + conv(6, 3, groups=2) + conv(4)))
    assert [(b.layer, b.blocks, len(b.classes)) for b in groups.balances] == [(1, 2, 4), (1, 2, 6)]
    assert not set(groups.vectors[0]) & set(groups.vectors[1])


@pytest.mark.parametrize(("first", "second"), [(12, 8), (8, 12)])
def test_a_shortcut_of_unequal_widths_ties_what_both_have(first, second):
    network = small_network(conv(first) + conv(5) + conv(second) + "[shortcut]; from=0; activation=linear\n" + conv(4))
    groups = channel_groups(network)
    source, before, total = groups.vectors[0], groups.vectors[2], groups.vectors[3]
    assert source[:8].tolist() == before[:8].tolist()
    assert total.tolist() == before.tolist()
    assert len(set(source) | set(before)) == 12


def test_chains_that_share_one_convolution_are_closed_transitively():
    body = conv(4) + conv(4) + "[shortcut]; from=0; activation=linear\n" + conv(4) + "[shortcut]; from=0; " \
        "activation=linear\n" + conv(4)
    groups = channel_groups(small_network(body))
    assert groups.coupled_layers == ((0, 1, 3),)


def test_reorg3d_repeats_the_channels_of_its_input():
    groups = channel_groups(small_network(conv(3) + "[reorg3d]; stride=2\n" + conv(4)))
    assert groups.vectors[1].tolist() == groups.vectors[0].tolist() * 4


def test_squeeze_and_excite_ties_the_factors_to_what_they_scale():
    body = conv(4) + "[avgpool]\n" + conv(2) + conv(4) + "[scale_channels]; from=0\n" + conv(4)
    groups = channel_groups(small_network(body))
    assert groups.vectors[3].tolist() == groups.vectors[0].tolist() == groups.vectors[4].tolist()
    assert groups.coupled_layers == ((0, 3),)
    assert groups.producers_of(int(groups.vectors[0][1])) == ((0, 1), (3, 1))


def test_the_old_reorg_fixes_what_it_reads_and_says_so():
    groups = channel_groups(small_network(conv(4) + "[reorg]; stride=2\n" + conv(4)))
    assert groups.fixed[groups.vectors[0]].all()
    assert groups.reason(int(groups.vectors[0][0])) == "layer 1: [reorg] mixes channels with positions"


def test_what_feeds_a_head_is_fixed_and_what_lies_before_is_free():
    network = small_network(conv(4))
    groups = channel_groups(network)
    assert "[yolo] head" in groups.reason(int(groups.vectors[1][0]))
    assert not groups.fixed[groups.vectors[0]].any()
    assert groups.fixed[groups.image].all()


def test_a_depthwise_convolution_on_the_image_is_fixed():
    groups = channel_groups(small_network(conv(3, 3, groups=3) + conv(4)))
    assert groups.fixed[groups.vectors[0]].all()


def test_the_output_of_a_network_without_heads_is_fixed():
    network = parse_network("[net]\nwidth=8\nheight=8\nchannels=3\n" + (conv(4) + conv(5)).replace("; ", "\n"))
    groups = channel_groups(network)
    assert groups.reason(int(groups.vectors[1][0])) == "it is the network's output"
    assert not groups.fixed[groups.vectors[0]].any()


@pytest.mark.parametrize("option", ["dontload=1", "dontloadscales=1"])
def test_a_convolution_whose_arrays_are_not_stored_is_fixed_on_both_sides(option):
    groups = channel_groups(small_network(conv(4) + conv(5) + option + "\n" + conv(4)))
    assert groups.fixed[groups.vectors[0]].all()
    assert groups.fixed[groups.vectors[1]].all()
    assert not groups.fixed[groups.vectors[2]].any()


def test_convolutions_that_share_weights_are_fixed():
    groups = channel_groups(small_network(conv(4) + conv(4, 3) + conv(4, 3, share_index=1) + conv(4)))
    assert groups.fixed[np.concatenate(groups.vectors[:3])].all()
    assert not groups.fixed[groups.vectors[3]].any()


def literal_classes(network: Network) -> dict[tuple[int, int], frozenset]:
    """Channels as sets of (layer, channel), merged one pair at a time: slow, and plainly right."""
    home: dict[tuple[int, int], tuple[int, int]] = {(-1, c): (-1, c) for c in range(network.net.channels)}
    lists = {-1: [(-1, c) for c in range(network.net.channels)]}

    def find(x):
        while home[x] != x:
            x = home[x]
        return x

    for layer in network.layers:
        inputs = [lists[source] for source in layer.inputs]
        own = [(layer.index, c) for c in range(layer.shape.channels)]
        if isinstance(layer.rule, Fresh | Fixed):
            home.update({x: x for x in own})
        elif isinstance(layer.rule, Tied):
            own = inputs[layer.rule.like]
            for other in inputs:
                for a, b in zip(own, other, strict=False):
                    home[find(a)] = find(b)
        elif isinstance(layer.rule, Same):
            m = layer.rule.multiplier
            own = [inputs[0][c // m] for c in range(len(inputs[0]) * m)] * layer.rule.repeats
        else:
            g, k = getattr(layer.rule, "groups", 1), getattr(layer.rule, "group_id", 0)
            own = [x for v in inputs for x in v[k * len(v) // g:(k + 1) * len(v) // g]]
        lists[layer.index] = own
    classes: dict[tuple[int, int], set] = {}
    for x in home:
        classes.setdefault(find(x), set()).add(x)
    return {(i, c): frozenset(classes[find(x)]) for i, channels in lists.items() for c, x in enumerate(channels)}


def numbered(groups: ChannelGroups, network: Network) -> dict[tuple[int, int], int]:
    return {(i, c): int(k) for i in range(-1, len(network.layers)) for c, k in enumerate(groups.vector(i))}


@settings(max_examples=50)
@given(networks())
def test_the_classes_are_those_of_a_literal_union_find(network):
    literal, ours = literal_classes(network), numbered(channel_groups(network), network)
    assert ours.keys() == literal.keys()
    assert len(set(zip(literal.values(), ours.values(), strict=True))) == len(set(literal.values())) \
        == len(set(ours.values()))
