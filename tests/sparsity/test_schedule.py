"""Schedules of s against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.errors import OptionError
from utils.sparsity import SparsityOptions, protected_channels, sparsity_scale


def test_a_constant_strength_stays():
    assert {sparsity_scale(SparsityOptions(kind="constant"), epoch, 10) for epoch in range(10)} == {1.0}


def test_global_decay_falls_behind_the_middle_and_not_at_it():
    options = SparsityOptions(kind="global-decay")
    assert [sparsity_scale(options, epoch, 10) for epoch in (0, 5, 6, 9)] == [1, 1, 0.01, 0.01]
    assert sparsity_scale(SparsityOptions(kind="global-decay", decay_start=0.2, decay_factor=0.5), 3, 10) == 0.5


def test_linear_ends_one_epoch_before_a_tenth():
    options = SparsityOptions(kind="linear")
    assert sparsity_scale(options, 0, 300) == 1
    assert sparsity_scale(options, 150, 300) == pytest.approx(0.55)
    assert sparsity_scale(options, 299, 300) == pytest.approx(1 - 0.9 * 299 / 300)
    assert sparsity_scale(SparsityOptions(kind="linear", linear_final=10), 150, 300) == pytest.approx(5.5)  # rising


def test_local_decay_is_no_matter_of_the_common_factor():
    assert sparsity_scale(SparsityOptions(kind="local-decay"), 9, 10) == 1


@given(st.lists(st.floats(0, 2), min_size=1, max_size=40), st.lists(st.floats(0, 2), min_size=0, max_size=9),
       st.sampled_from([0.0, 0.5, 0.85, 1.0]))
def test_local_decay_protects_the_largest_of_the_whole_network(first, second, keep_percent):
    options = SparsityOptions(kind="local-decay", keep_percent=keep_percent)
    gammas = {3: np.array(first), 7: np.array(second)}
    ordered = sorted(first + second)
    threshold = ordered[min(int(len(ordered) * keep_percent), len(ordered) - 1)]
    protected = protected_channels(options, 6, 10, gammas)
    assert [list(protected[3]), list(protected[7])] == [[g >= threshold for g in first], [g >= threshold for g in second]]
    assert not any(flags.any() for flags in protected_channels(options, 5, 10, gammas).values())


def test_only_local_decay_protects():
    gammas = {0: np.array([0.1, 1.0])}
    for kind in ("constant", "global-decay", "linear"):
        assert not protected_channels(SparsityOptions(kind=kind), 9, 10, gammas)[0].any()


@pytest.mark.parametrize(("wrong", "flag"), [
    ({"s": -1e-3}, "--s:"), ({"s": math.nan}, "--s:"), ({"s": math.inf}, "--s:"), ({"kind": "cosine"}, "--sparsity:"),
    ({"prune": 2}, "--prune:"), ({"s_bias": -1}, "--s-bias:"), ({"step": "exact"}, "--sparsity-step:"),
    ({"decay_start": 1.1}, "--decay-start:"), ({"decay_factor": -0.1}, "--decay-factor:"),
    ({"keep_percent": math.nan}, "--keep-percent:"), ({"linear_final": math.inf}, "--linear-final:"),
])
def test_options_out_of_range_are_refused_by_the_name_of_their_flag(wrong, flag):
    with pytest.raises(OptionError, match=rf"^{flag} .*; (give|choose) "):
        SparsityOptions(**wrong)
