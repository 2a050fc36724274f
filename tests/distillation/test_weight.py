"""The weight over time at its end points and in between."""

from __future__ import annotations

import math

import pytest

from utils.distillation import WeightSchedule
from utils.errors import OptionError


@pytest.mark.parametrize("curve", ["linear", "cosine"])
@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (3, 8)])
def test_it_begins_with_1_ends_with_the_final_share_and_falls_in_between(curve, final, start, stop):
    schedule = WeightSchedule(curve, final, start, stop)
    end = 11 if stop is None else stop
    values = [schedule.at(epoch, 11) for epoch in range(11)]
    assert values[start] == pytest.approx(1)
    assert values[end - 1] == pytest.approx(final)
    within = values[start:end]
    assert within == sorted(within, reverse=True)
    assert all(value == 0 for value in values[:start] + values[end:])


def test_the_formulas_halfway():
    assert WeightSchedule("linear", 0.2).at(5, 11) == pytest.approx(1 - 0.8 * 0.5)
    assert WeightSchedule("cosine", 0.2).at(2, 11) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi * 0.2)) / 2)
    assert [WeightSchedule().at(epoch, 4) for epoch in range(4)] == [1, 1, 1, 1]


@pytest.mark.parametrize("curve", ["constant", "linear", "cosine"])
def test_a_single_epoch_has_the_full_weight(curve):
    assert WeightSchedule(curve).at(0, 1) == 1


@pytest.mark.parametrize("numbers", [("steep",), ("linear", 1.5), ("linear", 0.1, 3, 3), ("linear", 0.1, -1)])
def test_numbers_that_make_no_sense(numbers):
    with pytest.raises(OptionError):
        WeightSchedule(*numbers)
