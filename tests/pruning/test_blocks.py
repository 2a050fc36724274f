"""Residual blocks: the census of well-known networks, what can go and what cannot, and that what is left is the rest."""

from __future__ import annotations

from collections import Counter
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.reference import heads, random_image
from tests.shared import SHARED, needs_shared
from utils.darknet import Network, Weights, parse_network, read_network, without_layers
from utils.darknet.builder import ARCHITECTURES, build_cfg
from utils.darknet.removal import REFERENCES
from utils.errors import PlanError
from utils.pruning import ResidualBlock, residual_blocks, stand_ins, why_block_stays
from utils.pruning.selection import chosen_blocks

YOLOV3_STAGES = [1, 2, 8, 8, 4]
WITH_SHORTCUTS = ("yolov3", "yolov3-spp", "yolov4", "yolov4-csp")


def conv(filters: int, size: int = 1, **options: object) -> str:
    extra = "".join(f"{key}={value}\n" for key, value in options.items())
    activation = "" if "activation" in options else "activation=leaky\n"
    return f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\npad={size // 2}\n{activation}{extra}"


def shortcut(source: object, **options: object) -> str:
    extra = "".join(f"{key}={value}\n" for key, value in options.items())
    return f"[shortcut]\nfrom={source}\n{extra}"


def bottleneck(filters: int) -> str:
    return conv(filters // 2) + conv(filters, 3) + shortcut(-3)


def quieted(network: Network, weights: Weights, blocks: tuple[ResidualBlock, ...]) -> Weights:
    """Weights in which these blocks add nothing: gamma and beta of their feeders are 0."""
    zero = {block.feeder: {**weights.layers[block.feeder],
                           **{name: np.zeros_like(weights.layers[block.feeder][name]) for name in ("gamma", "beta")}}
            for block in blocks}
    return weights.with_layers(zero)


def without(network: Network, weights: Weights, blocks: tuple[ResidualBlock, ...]) -> tuple[Network, Weights]:
    instead = stand_ins(blocks)
    layers = tuple(arrays for index, arrays in enumerate(weights.layers) if index not in instead)
    return without_layers(network, instead), Weights(weights.header, layers, len(layers))


def check_that_quiet_blocks_can_go(network: Network, weights: Weights, blocks: tuple[ResidualBlock, ...]) -> Network:
    """Blocks that add nothing leave the same numbers behind, to the last bits of float64."""
    weights = quieted(network, weights, blocks)
    x = random_image(network)
    smaller, left = without(network, weights, blocks)
    for before, after in zip(heads(network, weights, x), heads(smaller, left, x), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9)
    return smaller


def stage_sizes(network: Network) -> list[int]:
    sizes = Counter(block.stage for block in residual_blocks(network))
    return [sizes[stage] for stage in sorted(sizes)]


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_of_the_builders_networks_those_with_shortcuts_have_23_blocks_in_five_stages(name):
    network = parse_network(build_cfg(name))
    if name not in WITH_SHORTCUTS:
        assert not any(layer.kind == "shortcut" for layer in network.layers)
        assert residual_blocks(network) == ()
        return
    blocks = residual_blocks(network)
    assert stage_sizes(network) == YOLOV3_STAGES
    assert [block.stage for block in blocks] == sorted(block.stage for block in blocks)
    assert [block.shortcut for block in blocks] == [x.index for x in network.layers if x.kind == "shortcut"]
    for block in blocks:
        assert block.layers == (block.source + 1, block.source + 2, block.source + 3) == (*block.branch, block.shortcut)
        assert block.feeder == block.shortcut - 1
        assert why_block_stays(network, block.shortcut) is None


@needs_shared
@pytest.mark.parametrize(("path", "stages", "lengths"), [
    ("darknet/cases/enet-coco.cfg", [1, 1, 2, 2, 3], {9}),  # squeeze-and-excite inside; 4 more have activation=leaky
    ("darknet/cases/csresnext50-panet-spp.cfg", [], set()),  # activation=leaky behind every sum
    ("darknet/cases/yolov3-tiny-prn.cfg", [], set()),
    ("darknet/cases/yolo-fastest-1.1.cfg", [1, 2, 2, 4, 4, 5], {5}),  # a dropout before each shortcut
    ("darknet/cases/yolov4-csp-x-swish.cfg", [1, 3, 10, 10, 5], {3}),
    ("darknet/cases/yolov4-p5.cfg", [1, 3, 15, 15, 7], {3}),
    ("darknet/cases/cd53paspp-gamma.cfg", YOLOV3_STAGES, {3}),
    ("darknet/cases/Gaussian_yolov3_BDD.cfg", YOLOV3_STAGES, {3}),
    ("weights/mbv2-yolo-fastest-voc-v0/model.cfg", [1, 2, 2], {4}),  # of 8; into 3 branches the neck looks, too
    ("weights/mbv2-yolov3-nano-coco/model.cfg", [1, 2, 3, 2, 2], {4}),
    ("weights/yolo-fastest-first-voc/model.cfg", [1, 1, 2, 2, 3], {9}),
    ("weights/yoloface-500k-v2/model.cfg", [1, 2, 3, 2], {4}),
])
def test_other_networks_have_other_blocks(path, stages, lengths):
    network = read_network(SHARED / path)
    assert stage_sizes(network) == stages
    assert {len(block.layers) for block in residual_blocks(network)} == lengths


SQUEEZE_EXCITE = (conv(12) + conv(12, 3, groups=12) + "[avgpool]\n" + conv(3) + conv(12, activation="logistic")
                  + "[scale_channels]\nfrom=-4\n" + conv(4, activation="linear"))


@pytest.mark.parametrize(("body", "expected"), [
    (conv(4) + conv(4) + shortcut(-2), [(2, 0, (1,), 1)]),
    (conv(4) + bottleneck(4), [(3, 0, (1, 2), 2)]),
    (conv(4) + conv(2) + conv(4, 3) + shortcut(0), [(3, 0, (1, 2), 2)]),
    (conv(4) + SQUEEZE_EXCITE + shortcut(-8), [(8, 0, tuple(range(1, 8)), 7)]),
    (conv(4) + conv(4) + "[dropout]\n[activation]\nactivation=relu\n" + shortcut(-4), [(4, 0, (1, 2, 3), 1)]),
    (conv(4) + conv(4) + "[maxpool]\nsize=3\nstride=1\n[batchnorm]\n" + shortcut(-4), [(4, 0, (1, 2, 3), 1)]),
    (conv(4) + conv(4, 3, stride=2) + "[upsample]\n" + shortcut(-3), [(3, 0, (1, 2), 1)]),
    (conv(4) + conv(2) + conv(4) + "[route]\nlayers=-3\n" + shortcut(-2), [(4, 0, (1, 2), 2)]),  # the other way round
    (conv(4) + "[route]\nlayers=-1\n" + conv(4) + shortcut(0), [(3, 0, (1, 2), 2)]),
    (conv(4) + conv(2) + conv(2) + "[route]\nlayers=-1,-2\n" + conv(4) + shortcut(-5), [(5, 0, (1, 2, 3, 4), 4)]),
    # one block within another
    (conv(4) + conv(4) + conv(4) + shortcut(-2) + conv(4) + shortcut(-5), [(3, 1, (2,), 2), (5, 0, (1, 2, 3, 4), 4)]),
    # both from one source: without the first, the second is as it was
    (conv(4) + conv(4) + shortcut(-2) + conv(4) + shortcut(0), [(2, 0, (1,), 1), (4, 0, (1, 2, 3), 3)]),
])
def test_a_branch_that_nobody_else_reads_can_go(body, expected):
    network = small_network(body)
    blocks = residual_blocks(network)
    assert [(block.shortcut, block.source, block.branch, block.feeder) for block in blocks] == expected
    for block in blocks:
        assert block.layers == tuple(range(block.source + 1, block.shortcut + 1))
    weights = random_weights(network, quiet=True)
    for chosen in subsets(blocks):
        check_that_quiet_blocks_can_go(network, weights, chosen)


@pytest.mark.parametrize(("body", "reason"), [
    (conv(4), "layer 0 is a [convolutional], no [shortcut]"),
    (conv(4) + conv(4) + conv(4) + shortcut("-2,-3"), "it adds 3 layers"),
    (conv(4) + conv(4) + shortcut(-2, weights_type="per_feature", weights_normalization="relu"),
     "it weights what it adds (weights_type=per_feature)"),
    (conv(4) + conv(4) + shortcut(-2, activation="leaky"),
     "without its branch, activation=leaky would still change what it reads"),
    (conv(6) + conv(4) + shortcut(-2), "it adds 6x10x12 to 4x10x12"),
    (conv(4) + shortcut(-1), "it has no branch"),
    (conv(4) + conv(4) + conv(4) + "[route]\nlayers=0\n" + conv(4) + shortcut(1), "layer 3 of its branch reads what lies "
     "before the block"),
    (conv(4) + conv(4) + shortcut(-2) + "[route]\nlayers=-1,-2\n", "layer 3 uses layer 1 of its branch"),
    (conv(4) + conv(4) + shortcut(-2) + conv(4, share_index=1), "layer 3 uses layer 1 of its branch"),
    (conv(4) + "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nmask=0\nclasses=1\n[route]\nlayers=0\n"
     + conv(4) + shortcut(0), "layer 2 of its branch is a detection head"),
    (conv(4) + "[convolutional]\nfilters=4\nactivation=linear\n" + shortcut(-2), "its branch does not end in a convolution "
     "with batch norm"),
    (conv(4) + conv(4, dontload=1) + shortcut(-2), "its branch does not end in a convolution with batch norm"),
    (conv(4) + conv(4, activation="normalize_channels") + shortcut(-2), "its branch does not end in a convolution with "
     "batch norm"),
    (conv(4) + conv(2) + conv(2) + "[route]\nlayers=-1,-2\n" + shortcut(-4), "its branch does not end in a convolution with "
     "batch norm"),
    (conv(4) + "[maxpool]\nsize=3\nstride=1\n" + shortcut(-2), "its branch does not end in a convolution with batch norm"),
    (conv(4) + conv(4) + "[route]\nlayers=-1\n" + shortcut(-2), "its branch does not end in a convolution with batch norm"),
])
def test_a_block_that_stays_says_why(body, reason):
    network = small_network(body)
    last = max(layer.index for layer in network.layers if layer.kind == "shortcut" or layer.index == 0)
    assert why_block_stays(network, last) == reason
    assert residual_blocks(network) == ()
    with pytest.raises(PlanError, match="which cannot go"):
        chosen_blocks(network, [last])


def test_a_sum_stays_where_darknet_would_read_past_the_end_of_its_source():
    """A wider sum adds it; its source's own input is as wide as that sum, and there Darknet copies without looking."""
    network = small_network(conv(8) + conv(4) + conv(4) + shortcut(-2) + conv(8) + shortcut(-2))
    assert why_block_stays(network, 3) == ("layer 5 adds its narrower sum, and Darknet might read past the end of what "
                                           "would be left")


def test_blocks_of_one_sum_are_of_one_stage():
    network = small_network(conv(4) + bottleneck(4) + bottleneck(4) + conv(6, 3, stride=2) + bottleneck(6) + conv(6)
                            + bottleneck(6))
    assert [block.stage for block in residual_blocks(network)] == [0, 0, 1, 2]


THREE_STAGES = (conv(4, 3) + bottleneck(4) + conv(6, 3, stride=2) + bottleneck(6) * 2 + conv(8, 3, stride=2)
                + bottleneck(8) * 2 + "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nmask=0\nclasses=1\n"
                "[route]\nlayers=-3\n" + conv(4) + "[upsample]\n[route]\nlayers=-1, 10\n" + conv(4)
                + "[route]\nlayers=3\n" + conv(2, 3, stride=2) + "[route]\nlayers=-1,-3,  10\n" + conv(4))


def subsets(blocks):
    return chain.from_iterable(combinations(blocks, count) for count in range(len(blocks) + 1))


def test_every_subset_of_the_blocks_of_three_stages_can_go():
    network = small_network(THREE_STAGES, width=16, height=16)
    weights = random_weights(network)
    blocks = residual_blocks(network)
    assert [block.stage for block in blocks] == [0, 1, 1, 2, 2]
    for chosen in subsets(blocks):
        smaller = check_that_quiet_blocks_can_go(network, weights, chosen)
        assert parse_network(smaller.document.to_bytes()) == smaller
        assert [head.shape for head in smaller.heads] == [head.shape for head in network.heads]
        assert [block.stage for block in residual_blocks(smaller)] == renumbered(
            [block.stage for block in blocks if block not in chosen])


def renumbered(stages: list[int]) -> list[int]:
    return [sorted(set(stages)).index(stage) for stage in stages]


def test_a_route_to_a_stage_that_lost_all_its_blocks_reads_the_convolution_before_it():
    network = parse_network(build_cfg("yolov3", width_multiple=0.1, width=32, height=32))
    routes = [layer for layer in network.layers if layer.kind == "route" and len(layer.inputs) == 2]
    assert [layer.inputs[1] for layer in routes] == [61, 36]
    blocks = tuple(block for block in residual_blocks(network) if block.stage in (2, 3))
    smaller = check_that_quiet_blocks_can_go(network, random_weights(network), blocks)
    after = [layer for layer in smaller.layers if layer.kind == "route" and len(layer.inputs) == 2]
    assert [smaller.layers[layer.inputs[1]].options.stride_x for layer in after] == [2, 2]
    assert [layer.shape for layer in after] == [layer.shape for layer in routes]


@pytest.mark.parametrize("name", WITH_SHORTCUTS)
def test_all_quiet_blocks_of_a_real_architecture_can_go(name):
    network = parse_network(build_cfg(name, width_multiple=0.1, width=64, height=64, classes=2))
    smaller = check_that_quiet_blocks_can_go(network, random_weights(network), residual_blocks(network))
    assert len(network.layers) - len(smaller.layers) == 69
    assert residual_blocks(smaller) == ()


def expected_reference(value: int, reader: int, gone: list[int]) -> int:
    """What the ancestor's script makes of an entry: a count of layers that vanish before, or between."""
    if value >= 0:
        return value - sum(r <= value for r in gone)
    return value + sum(reader + value < r < reader for r in gone)


@pytest.mark.parametrize("name", WITH_SHORTCUTS)
def test_every_reference_of_a_real_architecture_moves_as_the_ancestors_formulas_say(name):
    network = parse_network(build_cfg(name))
    blocks = residual_blocks(network)
    rng = np.random.default_rng(0)
    for share in np.linspace(0.1, 1, 8):
        chosen = tuple(block for block in blocks if rng.random() < share)
        gone = [layer for block in chosen for layer in block.layers]
        after = without_layers(network, stand_ins(chosen))
        kept = [layer for layer in network.layers if layer.index not in gone]
        assert [layer.kind for layer in after.layers] == [layer.kind for layer in kept]
        for place, layer in enumerate(kept):
            key = REFERENCES.get(layer.kind)
            text = key and network.document.sections[layer.index + 1].get(key)
            if text:
                moved = [expected_reference(int(v), layer.index, gone) for v in text.split(",")]
                assert after.document.sections[place + 1].get(key) == ",".join(map(str, moved))


OFTEN_REMOVABLE = ("residual",) * 5 + ("squeeze_excite", "concat", "plain", "depthwise", "maxpool", "unequal_shortcut",
                                       "many_shortcut", "spp")


@settings(max_examples=150)
@given(networks(blocks=OFTEN_REMOVABLE, activations=("linear",) * 4 + ("leaky",)), st.data())
def test_of_any_network_any_quiet_blocks_can_go_at_once_or_one_after_the_other(network, data):
    blocks = residual_blocks(network)
    chosen = tuple(block for block in blocks if data.draw(st.booleans()))
    if not chosen:
        return
    smaller = check_that_quiet_blocks_can_go(network, random_weights(network, quiet=True), chosen)
    assert parse_network(smaller.document.to_bytes()) == smaller
    step, left = network, [layer.index for layer in network.layers]
    for block in data.draw(st.permutations(chosen)):
        if block.shortcut in left:  # else it went with a block around it
            instead = stand_ins(chosen_blocks(step, [left.index(block.shortcut)]))
            step = without_layers(step, instead)
            left = [layer for place, layer in enumerate(left) if place not in instead]
    assert step == smaller
