"""The expected activation, against the integral itself: a fine sum over the density, split where the activation bends."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from utils.darknet import ACTIVATIONS
from utils.pruning.expected import expected_activation

ELEMENTWISE = [name for name, activation in ACTIVATIONS.items() if not activation.over_channels]
CLOSED = ("linear", "leaky", "relu", "relie")
SMOOTH = ("logistic", "loggy", "tanh", "gelu", "swish", "mish")
BENDS = (-4.0, -2.0, -1.0, 0.0, 1.0, 4.0, 6.0, 20.0, -20.0, 2.0)
MEAN, SPREAD = (grid.ravel() for grid in np.meshgrid([-7.0, -1.3, 0.0, 0.4, 2.0, 9.0], [0.01, 0.5, 1.0, 3.0]))


def integral(name: str, mean: float, spread: float) -> float:
    """The midpoint rule in 400,000 steps between -10 and 10 deviations, with the bends at the ends of steps' intervals."""
    bends = [(bend - mean) / spread for bend in BENDS]
    ends = sorted({-10.0, 10.0, *(bend for bend in bends if -10 < bend < 10)})
    total = 0.0
    for low, high in pairwise(ends):
        count = max(200, int((high - low) * 20_000))
        z = low + (np.arange(count) + 0.5) * (high - low) / count
        density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
        total += float(ACTIVATIONS[name].function(mean + spread * z) @ density) * (high - low) / count
    return total


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_it_is_the_mean_over_the_normal_distribution(name):
    found = expected_activation(name, MEAN, SPREAD)
    wanted = np.array([integral(name, *pair) for pair in zip(MEAN, SPREAD, strict=True)])
    exact = name in CLOSED
    error = np.abs(found - wanted)
    assert (error < (1e-8 if exact else 2e-2 if name == "stair" else 3e-4 * SPREAD + 1e-8)).all()
    if name in SMOOTH:
        assert (error[SPREAD <= 1] < 1e-8).all()


@pytest.mark.parametrize("name", CLOSED)
def test_a_closed_form_has_no_step_from_a_small_spread_to_none(name):
    mean = np.array([-1.0, 0.0, 1.0])
    tiny = expected_activation(name, mean, np.full(3, 1e-9))
    np.testing.assert_allclose(tiny, ACTIVATIONS[name].function(mean), atol=1e-8)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_without_spread_it_is_the_activation_itself_beside_channels_that_spread(name):
    mean = np.array([-2.5, -0.5, 0.75, 3.5])
    np.testing.assert_array_equal(expected_activation(name, mean, np.zeros(4)), ACTIVATIONS[name].function(mean))
    mixed = expected_activation(name, mean, np.array([0.0, 1.0, 0.0, 1.0]))
    np.testing.assert_allclose(mixed[[0, 2]], ACTIVATIONS[name].function(mean[[0, 2]]), rtol=1e-12, atol=1e-12)


def test_half_of_a_normal_distribution_has_the_mean_that_everybody_knows():
    assert expected_activation("relu", np.zeros(1), np.ones(1))[0] == pytest.approx(1 / np.sqrt(2 * np.pi), abs=1e-15)
    assert expected_activation("leaky", np.zeros(1), np.full(1, 2.0))[0] == pytest.approx(0.9 * 2 / np.sqrt(2 * np.pi))
    assert expected_activation("logistic", np.zeros(1), np.full(1, 5.0))[0] == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in ELEMENTWISE])
def test_an_activation_over_channels_is_taken_at_the_mean(name):
    mean = np.array([-1.0, 0.5, 2.0])
    np.testing.assert_array_equal(expected_activation(name, mean, np.ones(3)), ACTIVATIONS[name].function(mean))
