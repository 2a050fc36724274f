"""The gauge against brute force over all thresholds, and its warnings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.darknet import Header, Weights
from utils.errors import PlanError
from utils.pruning import gamma_importance, slim_plan
from utils.sparsity import Push, drift_per_step, gauge, pressed_channels, steps_to_zero, strength_for

CHAIN = conv(3) + conv(4) + conv(5)


def chain_gammas(*values: float) -> dict[int, np.ndarray]:
    return {0: np.array(values[:3]), 1: np.array(values[3:7]), 2: np.array(values[7:12])}


@settings(max_examples=40)
@given(networks(), st.integers(0, 99))
def test_the_limit_is_the_share_up_to_which_no_layer_falls_below_the_threshold(network, seed):
    gammas = gamma_importance(network, random_weights(network, seed))
    try:
        pressed = pressed_channels(network)
    except PlanError:
        assume(False)
    values = {layer: gammas[layer][flags] for layer, flags in pressed.items()}
    ordered = np.sort(np.concatenate(list(values.values())))

    def empties_a_layer(threshold: float) -> bool:
        return any((gammas[layer] <= threshold).all() for layer, flags in pressed.items() if flags.all())

    harmless = [i for i, threshold in enumerate(ordered) if not empties_a_layer(threshold)]
    judged = gauge(network, values)
    assert judged.largest_share_limit == len(harmless) / len(ordered)
    assert judged.share_1e2 == sum(v < 0.01 for v in ordered) / len(ordered)
    assert judged.mean_gamma == pytest.approx(sum(ordered) / len(ordered))
    everything = sum(layer.shape.channels for layer in network.layers if layer.index in gammas)
    assert judged.prunable_share == len(ordered) / everything


def test_slim_pruning_empties_the_named_layer_from_the_limit_on():
    network = small_network(CHAIN)
    gammas = chain_gammas(0.9, 0.8, 0.1, 0.3, 0.02, 0.01, 0.2, 1.0, 0.5, 0.05, 0.6, 0.7)
    judged = gauge(network, gammas)
    assert (judged.limiting_layer, judged.largest_share_limit) == (1, 5 / 12)
    weights = Weights(Header(), tuple({"gamma": gammas[i].astype(np.float32)} if i in gammas else {}
                                      for i in range(len(network.layers))), len(network.layers))
    before, after = slim_plan(network, weights, 0.41, 0), slim_plan(network, weights, 0.42, 0)
    assert before.keep[1].channels == after.keep[1].channels == (0,)  # above the threshold, then rescued
    assert sum(len(k) for k in before.keep.values()) == sum(len(k) for k in after.keep.values())


def test_shares_and_dead_layers():
    judged = gauge(small_network(CHAIN), chain_gammas(0.009, 0.0, 0.0005, *[1.0] * 8, 0.01))
    assert (judged.share_1e2, judged.share_1e3) == (3 / 12, 2 / 12)
    assert judged.collapsed_layers == (0,)
    assert judged.steps_left is None
    assert judged.line() == ("gammas: 25.0% < 0.01, 16.7% < 0.001, mean 0.668; "
                             "slim can cut 16.7% before layer 0 is empty; dead layers: 1")


def test_a_layer_that_is_pressed_in_part_cannot_be_emptied():
    judged = gauge(small_network(CHAIN), {1: np.array([0.0, 0.0]), 2: np.array([0.1, 0.2, 0.3, 0.4, 0.5])})
    assert judged.limiting_layer == 2
    assert judged.collapsed_layers == ()
    alone = gauge(small_network(CHAIN), {1: np.array([0.0, 0.0])})
    assert (alone.largest_share_limit, alone.limiting_layer) == (1.0, None)


def test_the_steps_left_are_those_of_the_drift_formula_or_of_the_measured_drift():
    network, gammas = small_network(CHAIN), chain_gammas(*[0.6] * 12)
    judged = gauge(network, gammas, Push(s=0.002, lr=0.002324, momentum=0.97, steps=9000))
    assert judged.steps_left == pytest.approx(0.6 * 0.03 / (0.002324 * 0.002))
    assert judged.warnings == ()
    assert judged.line().endswith("half of them at 0 in about 3873 steps")
    measured = gauge(network, gammas, Push(0.002, 0.002324, 0.97, 9000, measured=1e-4))
    assert measured.steps_left == pytest.approx(6000)
    rising = gauge(network, gammas, Push(0.002, 0.002324, 0.97, 9000, measured=-1e-4))
    assert rising.steps_left == judged.steps_left
    assert gauge(network, gammas, Push(0.0, 0.01)).line().endswith("half of them never reach 0")


def test_the_formulas_say_the_same_in_both_directions():
    assert drift_per_step(0.001, 0.002324, 0.97) * 12910 == pytest.approx(1.0, rel=1e-3)
    assert steps_to_zero(1.0, drift_per_step(0.002, 0.002324, 0.97)) == pytest.approx(6454, rel=1e-3)
    assert strength_for(1.0, 0.002324 * 6454, 0.97) == pytest.approx(0.002, rel=1e-3)
    assert drift_per_step(5.0, 0.001, 0.9, adaptive=True) == 0.001
    assert drift_per_step(0.0, 0.001, 0.9, adaptive=True) == 0
    assert (steps_to_zero(0.0, 0.0), steps_to_zero(1.0, -1.0)) == (0, math.inf)


def test_nothing_moves_names_an_s_that_would_do():
    network, gammas = small_network(CHAIN), chain_gammas(*[0.6] * 12)
    (warning,) = gauge(network, gammas, Push(1e-5, 0.01, 0.9, steps=100)).warnings
    assert warning.kind == "nothing moves"
    assert "--s 0.06 would" in warning.text
    assert gauge(network, gammas, Push(0.0601, 0.01, 0.9, steps=100)).warnings == ()
    (late,) = gauge(network, gammas, Push(0.0601, 0.01, 0.9, steps=100, lr_sum=0.1)).warnings
    assert "--s 0.6 would" in late.text
    (adam,) = gauge(network, gammas, Push(0.5, 0.001, 0.9, steps=100, adaptive=True)).warnings
    assert "--s" not in adam.text
    assert "higher learning rate" in adam.text
    assert gauge(network, chain_gammas(*[0.005] * 12), Push(1e-9, 0.01, 0.9, steps=100)).warnings == ()
    assert gauge(network, gammas, Push(1e-5, 0.01, 0.9, steps=0)).warnings == ()


def test_a_collapse_is_dead_layers_and_a_worse_loss_together():
    network = small_network(CHAIN)
    dead, alive = chain_gammas(0, 0, 0, *[1.0] * 9), chain_gammas(*[1.0] * 12)
    (warning,) = gauge(network, dead, loss=9.0, best_loss=3.0).warnings
    assert warning.kind == "collapse"
    assert "1 of 3 layers are dead and the loss rose from 3 to 9" in warning.text
    assert gauge(network, dead, loss=math.nan, best_loss=3.0).warnings != ()
    assert "100.0%" in gauge(network, chain_gammas(*[0.0] * 12), loss=9.0, best_loss=3.0).warnings[0].text
    assert gauge(network, dead, loss=3.1, best_loss=3.0).warnings == ()
    assert gauge(network, alive, loss=9.0, best_loss=3.0).warnings == ()
    assert gauge(network, dead).warnings == ()
