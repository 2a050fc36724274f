"""Epsilons: what engines make of a variance, and weights that do not care."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.deploy.pairs import OLD, TINY, pair, random_weights
from utils.darknet import parse_network, write_weights
from utils.deploy import (
    ENGINES,
    compare_pair,
    engine_neutral,
    folded,
    variances_for_opencv,
    variances_for_pjreddie,
    with_variances,
)
from utils.errors import WeightsError

VARIANCES = arrays.arrays(np.float32, 5, elements=st.floats(0, 1000, width=32))


@given(VARIANCES)
def test_the_corrected_variance_gives_opencvs_formula_darknets_value(var):
    np.testing.assert_allclose(np.sqrt(variances_for_opencv(var) + 1e-6), np.sqrt(var.astype(np.float64) + 1e-5),
                               rtol=1e-12)


@given(VARIANCES)
def test_the_corrected_variance_gives_pjreddies_formula_darknets_value(var):
    np.testing.assert_allclose(np.sqrt(variances_for_pjreddie(var)) + 1e-6, np.sqrt(var.astype(np.float64) + 1e-5),
                               rtol=1e-12)


def test_only_variances_change_and_the_original_does_not():
    weights = random_weights(parse_network(TINY))
    before = weights.layers[0]["var"].copy()
    other = with_variances(weights, lambda var: var + 1)
    np.testing.assert_array_equal(weights.layers[0]["var"], before)
    np.testing.assert_allclose(other.layers[0]["var"], before + 1)
    assert other.layers[0]["weight"] is weights.layers[0]["weight"]
    assert other.layers[4] == weights.layers[4]


def test_a_folded_convolution_by_hand():
    held = {"weight": np.full((1, 1, 1, 1), 3, np.float32), "gamma": np.array([2], np.float32),
            "beta": np.array([5], np.float32), "mean": np.array([7], np.float32), "var": np.array([4 - 1e-5], np.float32)}
    weight, bias = folded(held)
    assert weight.ravel() == pytest.approx([3 * 2 / 2])
    assert bias == pytest.approx([5 - 7 * 2 / 2])


def test_without_stored_scales_darknet_divides_by_the_root_of_its_epsilon():
    weight, bias = folded({"weight": np.ones((1, 1, 1, 1), np.float32), "beta": np.array([5], np.float32)})
    assert weight.ravel() == pytest.approx([316.2278])
    assert bias == pytest.approx([5])


@pytest.mark.parametrize(("engine", "text"), [("opencv", TINY), ("darknet", OLD)])
def test_neutral_weights_give_the_same_in_every_engine_without_any_correction(engine, text, tmp_path):
    if ENGINES[engine].missing():
        pytest.skip(str(ENGINES[engine].missing()))
    cfg, path = pair(tmp_path, text)
    network = parse_network(text)
    weights = random_weights(network, smallest_variance=1e-3)
    write_weights(path, network, weights)
    (before,) = compare_pair(cfg, path, engines=[engine]).engines
    write_weights(path, network, engine_neutral(network, weights))
    (after,) = compare_pair(cfg, path, engines=[engine]).engines
    assert before.own_relative > 1e-2
    assert after.own_relative < 2e-5


def test_neutral_weights_leave_darknets_own_result_alone():
    network = parse_network(TINY)
    weights = random_weights(network, smallest_variance=1e-7)
    neutral = engine_neutral(network, weights)
    for layer in (0, 2, 7):
        for got, want in zip(folded(neutral.layers[layer]), folded(weights.layers[layer]), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
    assert set(neutral.layers[0]["var"]) == {65536.0}


def test_unit_variances_leave_a_trace_of_the_epsilon_and_large_ones_none():
    network = parse_network(TINY)
    weights = random_weights(network)
    for variance, low, high in ((1.0, 4e-6, 5e-6), (65536.0, 0, 1e-9)):
        held = {name: array.astype(np.float64) for name, array in
                engine_neutral(network, weights, variance=variance).layers[0].items()}
        ours, theirs = (held["gamma"] / np.sqrt(held["var"] + epsilon) for epsilon in (1e-5, 1e-6))
        assert low <= np.abs(theirs / ours - 1).max() <= high


@pytest.mark.parametrize("bad", [-1e-4, np.nan])
def test_a_variance_that_darknet_takes_no_root_of_is_an_error_that_names_the_layer(bad):
    network = parse_network(TINY, "my.cfg")
    weights = random_weights(network)
    var = weights.layers[2]["var"].copy()
    var[5] = bad
    with pytest.raises(WeightsError, match=r"my.cfg:18: the running variance of channel 5 is (-0.0001|nan)"):
        engine_neutral(network, weights.with_layers({2: {**weights.layers[2], "var": var}}))
