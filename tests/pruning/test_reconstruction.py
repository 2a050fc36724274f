"""Reconstruction of one convolution, against numpy's own least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.pruning.reconstruction import Moments, Positions, corrected, solved

GROUPS, D, FILTERS = 2, 6, 4


def positions(seed: int, count: int = 200, *, noise: float = 0.5) -> tuple[Positions, np.ndarray]:
    """Positions whose targets are linear in the inputs but for noise, and a kernel that is not the right one."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(count, GROUPS, D)) @ rng.normal(size=(D, D)) + 2 * rng.normal(size=D)
    truth = np.random.default_rng(99).normal(size=(GROUPS, FILTERS, D))
    targets = np.einsum("mgd,god->mgo", inputs, truth) + 3 + noise * rng.normal(size=(count, GROUPS, FILTERS))
    return Positions(inputs, targets), np.random.default_rng(98).normal(size=(GROUPS, FILTERS, D))


@given(st.integers(0, 2**32 - 1), st.sampled_from((4, 50, 300)), st.sampled_from((1e-1, 1e-3, 1e-6)))
def test_the_solution_is_that_of_least_squares_with_one_row_more_for_each_penalised_number(seed, count, ridge):
    """Rows sqrt(m * ridge * size) * D = 0 beside the centred equations x D = y - K x; the intercept is free."""
    seen, kernel = positions(seed, count)
    moments = Moments.of(seen)
    new, intercept = solved(moments, kernel, ridge)
    for group in range(GROUPS):
        x, y = seen.inputs[:, group], seen.targets[:, group]
        penalty = np.sqrt(count * ridge * np.trace(moments.gram[group]) / D)
        system = np.vstack([np.hstack([x, np.ones((count, 1))]), penalty * np.eye(D, D + 1)])
        missing = np.vstack([y - x @ kernel[group].T, np.zeros((D, FILTERS))])
        found = np.linalg.lstsq(system, missing, rcond=None)[0]
        np.testing.assert_allclose(new[group], kernel[group] + found[:D].T, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(intercept[group], found[D], rtol=1e-5, atol=1e-5)


def test_moments_are_the_covariances_and_means():
    seen, _ = positions(1)
    moments = Moments.of(seen)
    for group in range(GROUPS):
        both = np.cov(np.hstack([seen.inputs[:, group], seen.targets[:, group]]).T, bias=True)
        np.testing.assert_allclose(moments.gram[group], both[:D, :D], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(moments.cross[group], both[:D, D:], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(moments.input_mean, seen.inputs.mean(axis=0))
    np.testing.assert_allclose(moments.target_mean, seen.targets.mean(axis=0))
    assert moments.count == 200


def test_without_penalty_the_smallest_correction_is_taken_where_inputs_depend_on_each_other():
    seen, kernel = positions(2, noise=0)
    twins = seen.inputs.copy()
    twins[:, :, 1] = twins[:, :, 0]
    moments = Moments.of(Positions(twins, seen.targets))
    new, _ = solved(moments, kernel, 0.0)
    change = new - kernel
    np.testing.assert_allclose(change[:, :, 0], change[:, :, 1], atol=1e-8)  # any other split would be larger
    x = twins[:, 0] - twins[:, 0].mean(axis=0)
    expected = np.linalg.lstsq(x, seen.targets[:, 0] - seen.targets[:, 0].mean(axis=0) - x @ kernel[0].T, rcond=1e-9)[0]
    np.testing.assert_allclose(change[0], expected.T, atol=1e-7)


def test_inputs_that_never_change_are_left_alone():
    seen, kernel = positions(3)
    constant = Positions(np.full_like(seen.inputs, 2.0), seen.targets)
    new, intercept = solved(Moments.of(constant), kernel, 1e-3)
    np.testing.assert_array_equal(new, kernel)
    np.testing.assert_allclose(intercept, seen.targets.mean(axis=0) - 2 * kernel.sum(axis=2))


@given(st.integers(0, 2**32 - 1), st.sampled_from((3, 10, 100)), st.sampled_from((0.0, 1.0, 30.0)))
def test_a_correction_is_never_worse_on_held_out_positions_than_the_kernel_as_it_was(seed, count, noise):
    (seen, kernel), (held_out, _) = positions(seed, count, noise=noise), positions(seed + 1, 50, noise=noise)
    found = corrected(Moments.of(seen), held_out, kernel)
    assert found.residual <= found.before
    assert found.residual == pytest.approx(held_out.missed(found.kernel, found.intercept))
    assert found.ridge < np.inf or found.kernel is kernel


def test_chance_in_few_positions_is_not_fitted():
    """Nothing to learn: the targets are what the kernel gives and noise, and there are as many positions as inputs."""
    (seen, kernel), (held_out, _) = positions(4, D + 1), positions(5)
    rng = np.random.default_rng(6)
    noisy = [Positions(one.inputs, np.einsum("mgd,god->mgo", one.inputs, kernel) + rng.normal(size=one.targets.shape))
             for one in (seen, held_out)]
    moments = Moments.of(noisy[0])
    found = corrected(moments, noisy[1], kernel)
    assert found.residual < 0.8 * noisy[1].missed(*solved(moments, kernel, 1e-8))


def test_perfect_targets_leave_no_residual():
    (seen, kernel), (held_out, _) = positions(7, noise=0), positions(8, noise=0)
    found = corrected(Moments.of(seen), held_out, kernel)
    assert found.residual < 1e-8 < 1e-2 < found.before
    assert found.ridge == 1e-8


def test_groups_know_nothing_of_each_other():
    seen, kernel = positions(9)
    held_out, _ = positions(10)
    whole = corrected(Moments.of(seen), held_out, kernel, (1e-3,))
    for group in range(GROUPS):
        alone = [Positions(one.inputs[:, [group]], one.targets[:, [group]]) for one in (seen, held_out)]
        found = corrected(Moments.of(alone[0]), alone[1], kernel[[group]], (1e-3,))
        np.testing.assert_allclose(whole.kernel[group], found.kernel[0], rtol=1e-10)
        np.testing.assert_allclose(whole.intercept[group], found.intercept[0], rtol=1e-10)


def test_what_is_missed_is_a_share_of_the_variance():
    held_out, kernel = positions(11)
    error = held_out.targets - np.einsum("mgd,god->mgo", held_out.inputs, kernel) - 1
    total = held_out.targets.var(axis=0).sum() * len(held_out.targets)
    assert held_out.missed(kernel, np.ones((GROUPS, FILTERS))) == pytest.approx((error**2).sum() / total)
    mean = held_out.targets.mean(axis=0)
    assert held_out.missed(np.zeros_like(kernel), mean) == pytest.approx(1)


@pytest.mark.parametrize(("intercept", "missed"), [(3.0, 0.0), (2.0, 1.0)])
def test_targets_that_never_change_are_met_or_missed(intercept, missed):
    still = Positions(np.zeros((5, 1, 2)), np.full((5, 1, 3), 3.0))
    assert still.missed(np.zeros((1, 3, 2)), np.full((1, 3), intercept)) == missed


def test_numbers_that_are_none_leave_the_kernel_as_it_is():
    seen, kernel = positions(12)
    held_out, _ = positions(13)
    moments = Moments.of(Positions(np.where(seen.inputs > 5, np.nan, seen.inputs), seen.targets))
    assert corrected(moments, held_out, kernel).kernel is kernel
