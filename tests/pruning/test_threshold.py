"""Normal and shortcut pruning: the ancestor's masks where it had any, and what must hold on every network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_weights
from tests.pruning.ancestor import normal_masks, shortcut_masks, slim_masks
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from tests.pruning.test_slim import gammas_only, something_is_prunable
from utils.darknet import Network, Weights, initial_weights, read_network
from utils.errors import PlanError
from utils.pruning import (
    REDUCTIONS,
    ClassScores,
    Plan,
    apply_plan,
    channel_groups,
    excluded_layers,
    gamma_importance,
    keep_everything,
    normal_plan,
    shortcut_plan,
    slim_plan,
    threshold_cut,
)

CFG = Path(__file__).resolve().parents[2] / "cfg"
SHARES = (0.3, 0.6, 0.9, 0.99)
BOTH = {"normal": normal_plan, "shortcut": shortcut_plan}


def same(plan: Plan, masks: dict[int, np.ndarray]) -> None:
    wrong = [layer for layer, mask in masks.items() if plan.keep[layer].channels != tuple(np.flatnonzero(mask))]
    assert not wrong
    assert all(keep.is_whole for layer, keep in plan.keep.items() if layer not in masks)


@pytest.mark.parametrize("name", ["yolov3", "yolov3-spp", "yolov3-tiny", "yolov4", "yolov4-tiny"])
@pytest.mark.parametrize("percent", SHARES)
def test_with_its_exclusions_the_masks_are_the_ancestors(name, percent):
    network = read_network(CFG / f"{name}.cfg")
    weights = gammas_only(network, seed=int(percent * 100))
    same(normal_plan(network, weights, percent, exclude="ancestor"), normal_masks(network, weights, percent))
    same(shortcut_plan(network, weights, percent, exclude="ancestor"), shortcut_masks(network, weights, percent))
    same(slim_plan(network, weights, percent, 0.05, exclude="ancestor"), slim_masks(network, weights, percent, 0.05))


@pytest.mark.parametrize(("name", "count", "with_shortcuts"), [
    ("yolov3", 2, 2 + 28), ("yolov3-spp", 3, 3 + 28), ("yolov4-tiny", 4, 4), ("yolov3-tiny", 1, 1)])
def test_the_ancestor_leaves_alone_what_its_description_says(name, count, with_shortcuts):
    """yolov3 has 23 shortcuts in 5 stages: 28 convolutions feed them."""
    network = read_network(CFG / f"{name}.cfg")
    assert len(excluded_layers(network, "ancestor")) == count
    assert len(excluded_layers(network, "ancestor", shortcuts=True)) == with_shortcuts
    assert excluded_layers(network, "none", shortcuts=True) == frozenset()


def residual(first: list[float], second: list[float], last: list[float]) -> tuple[Network, Weights]:
    """Convolutions 0 and 1 are tied by a shortcut, 3 is free; their gammas."""
    network = small_network(conv(4) + conv(4) + "[shortcut]; from=0; activation=linear\n" + conv(4))
    weights = random_weights(network)
    for layer, gammas in {0: first, 1: second, 3: last}.items():
        weights.layers[layer]["gamma"][:] = gammas
    return network, weights


def test_a_value_at_the_threshold_stays():
    network = small_network(conv(4))
    weights = random_weights(network)
    weights.layers[0]["gamma"][:] = [0.1, 0.2, -0.3, 0.4]
    assert normal_plan(network, weights, 0.5).keep[0].channels == (2, 3)
    assert slim_plan(network, weights, 0.5).keep[0].channels == (3,)
    weights.layers[0]["gamma"][:] = [0.2, 0.2, 0.2, 0.4]
    assert normal_plan(network, weights, 0.5).keep[0].is_whole


def test_the_first_of_tied_layers_decides_in_shortcut_and_the_largest_in_normal():
    network, weights = residual([9, 1, 2, 8], [0.1, 10, 0.3, 0.2], [7, 6, 5, 4])
    assert shortcut_plan(network, weights, 0.5).keep[1].channels == (0, 3)  # 9 1 2 8 and 7 6 5 4: from 6 on
    assert normal_plan(network, weights, 0.5).keep[1].channels == (0, 1, 3)  # 9 10 2 8 and 7 6 5 4: from 7 on


@pytest.mark.parametrize(("reduce", "by_hand"), [
    ("max", [8, 5, 2, 4]), ("first", [0.5, 5, 1, 4]), ("mean", [4.25, 4.5, 1.5, 2.5]), ("sum", [8.5, 9, 3, 5]),
    ("norm", [np.sqrt(32.125), np.sqrt(20.5), np.sqrt(2.5), np.sqrt(8.5)])])
def test_a_reduction_scores_tied_channels(reduce, by_hand):
    network, weights = residual([0.5, 5, 1, 4], [8, -4, 2, 1], [3, 6, 7, 9])
    groups = channel_groups(network)
    scores = ClassScores.of(groups, gamma_importance(network, weights), reduce).score
    np.testing.assert_allclose(scores[groups.vectors[1]], by_hand, rtol=1e-6)
    np.testing.assert_allclose(scores[groups.vectors[3]], [3, 6, 7, 9])
    ranked = np.sort([*by_hand, 3, 6, 7, 9])
    for plan in (normal_plan(network, weights, 0.5, reduce=reduce), shortcut_plan(network, weights, 0.5, reduce=reduce)):
        kept = np.flatnonzero(np.array(by_hand) >= ranked[4] - 1e-6)
        assert plan.keep[0].channels == plan.keep[1].channels == tuple(kept)


@pytest.mark.parametrize("reduce", ["first", "mean", "sum", "norm"])
def test_slim_with_another_reduction_keeps_or_removes_tied_channels_by_their_common_score(reduce):
    network, weights = residual([0.5, 5, 1, 4], [8, -4, 2, 1], [3, 6, 7, 9])
    groups = channel_groups(network)
    scores = ClassScores.of(groups, gamma_importance(network, weights), reduce).score
    ranked = np.sort(np.concatenate([scores[groups.vectors[layer]] for layer in (0, 1, 3)]))
    plan = slim_plan(network, weights, 0.4, reduce=reduce)
    assert plan.keep[1].channels == tuple(np.flatnonzero(scores[groups.vectors[1]] + 1e-6 >= ranked[4]))


def test_a_stage_that_would_be_empty_keeps_the_same_channel_everywhere():
    """The ancestor kept each layer's own best, so that channel 3 was added to channel 1."""
    network, weights = residual([0.1, 0.4, 0.2, 0.3], [0.1, 0.2, 0.3, 0.9], [7, 6, 5, 4])
    plan = shortcut_plan(network, weights, 0.5)
    assert plan.keep[0].channels == plan.keep[1].channels == (1,)
    assert threshold_cut(network, weights, 0.5, "none", "first").rescued == (0, 1)


def test_the_limit_is_the_largest_share_that_empties_no_layer():
    network = read_network(CFG / "yolov3.cfg")
    weights = gammas_only(network, 3)
    limit = threshold_cut(network, weights, 0.5, "none", "first").limit
    assert threshold_cut(network, weights, limit.percent, "none", "first").rescued == ()
    assert limit.layer in threshold_cut(network, weights, limit.percent + 1e-3, "none", "first").rescued
    best = min(np.abs(arrays["gamma"]).max() for i, arrays in enumerate(weights.layers)
               if arrays and network.layers[i + 1].kind != "shortcut")
    assert limit.score == pytest.approx(float(best))


@settings(max_examples=25)
@given(network=networks(), seed=st.integers(0, 99), percent=st.sampled_from([0.3, 0.7, 0.99]),
       reduce=st.sampled_from(REDUCTIONS), exclude=st.sampled_from(["none", "ancestor"]),
       strategy=st.sampled_from(sorted(BOTH)))
def test_any_network_can_follow_the_plan(strategy, network, seed, percent, reduce, exclude):
    weights = random_weights(network, seed)
    assume(something_is_prunable(network, weights))
    try:
        plan = BOTH[strategy](network, weights, percent, exclude=exclude, reduce=reduce)
    except PlanError as error:
        if exclude == "ancestor" and "excluded" in error.problem:
            return
        raise
    smaller, _ = apply_plan(network, weights, plan, "beta")
    assert all(layer.shape.channels for layer in smaller.layers)
    for layer in excluded_layers(network, exclude):
        assert plan.keep[layer].is_whole


@settings(max_examples=20)
@given(network=networks(), seed=st.integers(0, 99), strategy=st.sampled_from(sorted(BOTH)))
def test_a_larger_share_never_keeps_what_a_smaller_one_removed(strategy, network, seed):
    weights = random_weights(network, seed)
    assume(not channel_groups(network).balances and something_is_prunable(network, weights))
    none, less, more = (BOTH[strategy](network, weights, percent) for percent in (0, 0.3, 0.6))
    assert none.keep == keep_everything(network).keep
    for layer, keep in more.keep.items():
        assert set(keep.channels) <= set(less.keep[layer].channels)


@pytest.mark.parametrize("strategy", BOTH)
@pytest.mark.parametrize(("arguments", "said"), [
    ({"percent": 1.0}, "percent=1.0"),
    ({"percent": -0.1}, "percent=-0.1"),
    ({"percent": float("nan")}, "percent=nan"),
    ({"round_to": 0}, "round_to=0"),
    ({"exclude": "all"}, "exclude=all"),
    ({"reduce": "median"}, "reduce=median"),
])
def test_an_argument_out_of_its_range_is_refused(strategy, arguments, said):
    network = small_network(conv(4))
    with pytest.raises(PlanError, match=said):
        BOTH[strategy](network, initial_weights(network), **arguments)


@pytest.mark.parametrize("strategy", BOTH)
def test_nothing_to_remove_is_an_error(strategy):
    network = small_network("[convolutional]; filters=4; size=1; activation=leaky\n")
    with pytest.raises(PlanError, match="no channel that could be removed"):
        BOTH[strategy](network, initial_weights(network), 0.5)
