"""The slim strategy: the ancestor's numbers where it had any, and sense where it had none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_weights
from tests.pruning.ancestor import slim_masks
from tests.pruning.compared import small_network
from tests.pruning.test_groups import case, conv
from tests.shared import needs_shared
from utils.darknet import Header, Network, Weights, initial_weights
from utils.errors import PlanError
from utils.pruning import ClassScores, channel_groups, gamma_importance, keep_everything, slim_plan


def gammas_only(network: Network, seed: int) -> Weights:
    """Weights with distinct gammas of both signs and nothing else: all that slim looks at."""
    rng = np.random.default_rng(seed)
    layers = tuple({"gamma": rng.normal(size=layer.shape.channels).astype(np.float32)}
                   if layer.kind == "convolutional" and layer.options.batch_normalize else {}
                   for layer in network.layers)
    return Weights(Header(), layers, len(layers))


@needs_shared
@pytest.mark.parametrize("name", ["yolov3", "yolov4"])
@pytest.mark.parametrize(("percent", "layer_keep"), [(0.5, 0.01), (0.8, 0.01), (0.93, 0.1), (0.999, 0.05)])
def test_slim_keeps_what_its_ancestor_kept(name, percent, layer_keep):
    network = case(name)
    weights = gammas_only(network, seed=int(percent * 1000))
    plan = slim_plan(network, weights, percent, layer_keep)
    expected = slim_masks(network, weights, percent, layer_keep, exclude=False)
    for layer, mask in expected.items():
        assert plan.keep[layer].channels == tuple(np.flatnonzero(mask)), layer


@needs_shared
def test_an_untrained_network_loses_the_share_that_was_asked_for():
    """Its gammas are all 1; the ancestor took all that is not above the threshold: nearly everything."""
    network = case("yolov3")
    weights = Weights(Header(), tuple({k: np.ones_like(v) for k, v in a.items()} for a in
                                      gammas_only(network, 0).layers), len(network.layers))
    plan = slim_plan(network, weights, 0.5)
    widths = [(keep.filters, len(keep)) for layer, keep in plan.keep.items() if "gamma" in weights.layers[layer]]
    assert sum(after for _, after in widths) >= sum(before for before, _ in widths) / 2
    assert all(abs(after - before / 2) <= 1 for before, after in widths)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=8, max_size=8), st.floats(0, 0.99))
def test_ties_at_the_threshold_never_remove_more_than_was_asked_for(gammas, percent):
    network = small_network(conv(8))
    weights = random_weights(network)
    weights.layers[0]["gamma"][:] = gammas
    removed = 8 - len(slim_plan(network, weights, percent, layer_keep=0).keep[0])
    threshold = sorted(gammas)[int(8 * percent)]
    alone = gammas.count(threshold) == 1 and percent > 0
    assert removed <= int(8 * percent) + alone
    assert slim_plan(network, weights, percent, layer_keep=0) == slim_plan(network, weights, percent, layer_keep=0)


def something_is_prunable(network: Network, weights: Weights) -> bool:
    groups = channel_groups(network)
    return bool(ClassScores.of(groups, gamma_importance(network, weights)).prunable.any())


@settings(max_examples=30)
@given(networks(), st.integers(0, 99))
def test_zero_percent_keeps_everything(network, seed):
    assert slim_plan(network, random_weights(network, seed), 0).keep == keep_everything(network).keep


@settings(max_examples=50)
@given(networks(), st.integers(0, 99), st.sampled_from([0.3, 0.7, 0.99]), st.sampled_from([1, 2, 4]))
def test_every_width_is_a_multiple_or_the_whole(network, seed, percent, round_to):
    weights = random_weights(network, seed)
    assume(something_is_prunable(network, weights))
    plan = slim_plan(network, weights, percent, round_to=round_to)
    assert all(len(keep) % round_to == 0 or keep.is_whole for keep in plan.keep.values())


@settings(max_examples=50)
@given(networks(), st.integers(0, 99))
def test_a_larger_share_never_keeps_what_a_smaller_one_removed(network, seed):
    """Without rounding and balance a class's fate depends on its best gamma alone."""
    weights = random_weights(network, seed)
    assume(not channel_groups(network).balances and something_is_prunable(network, weights))
    less, more = slim_plan(network, weights, 0.3), slim_plan(network, weights, 0.6)
    for layer, keep in more.keep.items():
        assert set(keep.channels) <= set(less.keep[layer].channels)


def test_tied_channels_stay_if_any_of_them_is_above_the_threshold():
    network = small_network(conv(4) + conv(4) + "[shortcut]; from=0; activation=linear\n" + conv(4))
    weights = random_weights(network)
    for layer, gamma in {0: [9, 1, 2, 3], 1: [0.1, 8, 0.3, 0.2], 3: [7, 6, 5, 4]}.items():
        weights.layers[layer]["gamma"][:] = gamma
    plan = slim_plan(network, weights, 0.5)
    assert plan.keep[0].channels == plan.keep[1].channels == (0, 1)
    assert plan.keep[3].channels == (0, 1, 2)


def test_blocks_are_balanced_by_the_best_channels_that_would_have_gone():
    network = small_network(conv(4) + "[route]; layers=-1; groups=2; group_id=0\n" + conv(1))
    weights = random_weights(network)
    weights.layers[0]["gamma"][:] = [9, 8, 0.2, -0.3]
    weights.layers[2]["gamma"][:] = [7]
    assert slim_plan(network, weights, 0.4).keep[0].channels == (0, 1, 2, 3)
    weights.layers[0]["gamma"][:] = [9, 0.1, 0.2, -0.3]
    assert slim_plan(network, weights, 0.6, layer_keep=0).keep[0].channels == (0, 3)


def test_channels_without_batch_norm_stay_unless_they_are_tied_to_others():
    plain = "[convolutional]; filters=4; size=1; activation=linear\n"
    network = small_network(plain + conv(4) + plain + "[shortcut]; from=1; activation=linear\n" + conv(4))
    weights = random_weights(network)
    weights.layers[1]["gamma"][:] = [1, 2, 0.1, 0.2]
    weights.layers[4]["gamma"][:] = [5, 6, 7, 8]
    plan = slim_plan(network, weights, 0.2)
    assert plan.keep[0].is_whole
    assert plan.keep[1].channels == plan.keep[2].channels == (0, 1)
    groups = channel_groups(network)
    scores = ClassScores.of(groups, gamma_importance(network, weights))
    assert "no batch norm" in scores.reason(int(groups.vectors[0][0]))
    assert scores.reason(int(groups.vectors[2][0])) is None
    assert "head" in scores.reason(int(groups.vectors[5][0]))


def test_a_depthwise_convolution_protects_what_it_reads_as_any_tied_layer_does():
    """Its batch norm brings a channel back to size that a small gamma before it had shrunk."""
    network = small_network(conv(4) + conv(4, 3, groups=4) + conv(4))
    weights = random_weights(network)
    weights.layers[0]["gamma"][:] = [0.1, 2, 0.3, 0.4]
    weights.layers[1]["gamma"][:] = [9, 0.01, 0.02, 0.03]
    weights.layers[2]["gamma"][:] = [5, 6, 7, 8]
    plan = slim_plan(network, weights, 0.45)
    assert plan.keep[0].channels == plan.keep[1].channels == (0, 1)


@pytest.mark.parametrize(("arguments", "said"), [
    ({"global_percent": 1.0}, "global_percent=1.0"),
    ({"global_percent": -0.1}, "global_percent=-0.1"),
    ({"global_percent": float("nan")}, "global_percent=nan"),
    ({"layer_keep": 1.5}, "layer_keep=1.5"),
    ({"round_to": 0}, "round_to=0"),
])
def test_an_argument_out_of_its_range_is_refused(arguments, said):
    network = small_network(conv(4))
    with pytest.raises(PlanError, match=said):
        slim_plan(network, initial_weights(network), **arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gamma_that_is_no_number_is_refused_with_its_place(value):
    network = small_network(conv(4) + conv(4))
    weights = initial_weights(network)
    weights.layers[1]["gamma"][2] = value
    with pytest.raises(PlanError, match=r"<cfg>:\d+: 1 of 4 gammas of layer 1 .* channel 2"):
        slim_plan(network, weights)


def test_weights_that_are_not_the_networks_own_are_refused():
    network = small_network(conv(4) + conv(4))
    with pytest.raises(PlanError, match="has 4 layers, the weights hold 1"):
        slim_plan(network, Weights(Header(), (initial_weights(network).layers[0], {}, {}, {}), 1))
    with pytest.raises(PlanError, match="layer 1 has 4 channels, the weights hold 5 gammas"):
        slim_plan(network, initial_weights(small_network(conv(4) + conv(5))))


def test_a_network_without_batch_norm_cannot_be_slimmed():
    network = small_network("[convolutional]; filters=4; size=1; activation=leaky\n")
    with pytest.raises(PlanError, match="no channel that could be removed"):
        slim_plan(network, initial_weights(network), 0.5)


def test_nothing_given_is_changed():
    network = small_network(conv(4) + conv(4))
    weights = random_weights(network)
    before = [{k: v.copy() for k, v in arrays.items()} for arrays in weights.layers]
    slim_plan(network, weights, 0.5)
    for old, new in zip(before, weights.layers, strict=True):
        for name, array in old.items():
            np.testing.assert_array_equal(array, new[name])
