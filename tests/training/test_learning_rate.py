"""Learning rates against the formulas, as slow loops and closed values."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.errors import OptionError
from utils.training.learning_rate import LearningRate


def ancestor(ni: int, nb: int, epochs: int, lr0: float) -> float:
    """The rate at global batch ni of nb a epoch, as the ancestor's notes have it."""
    epoch = ni // nb
    if epoch < 6:
        return 1e-6 + (lr0 - 1e-6) * ni / (2 * nb)
    lr = lr0
    if epoch > 0.7 * epochs:
        lr = lr0 * 0.1
    if epoch > 0.9 * epochs:
        lr = lr0 * 0.01
    return lr


@given(st.integers(1, 60), st.integers(1, 7), st.sampled_from((1, 2, 4)))
def test_the_literal_variant_is_the_ancestors_for_every_accumulation(epochs, steps, accumulate):
    rate = LearningRate(0.002, epochs=epochs, steps_per_epoch=steps, literal_warmup=True)
    batches = steps * accumulate
    for step in range(epochs * steps):
        assert rate.at(step) == pytest.approx(ancestor(step * accumulate, batches, epochs, 0.002), rel=1e-9), step


def test_the_literal_warm_up_reaches_three_times_lr0_and_ours_never_more_than_lr0():
    literal = LearningRate(1.0, epochs=100, steps_per_epoch=10, literal_warmup=True)
    assert literal.at(59) == pytest.approx(2.95)
    assert literal.at(60) == 1.0
    ours = replace(literal, literal_warmup=False)
    assert max(ours.at(step) for step in range(1000)) == 1.0
    assert [ours.at(step) for step in range(20)] == pytest.approx([literal.at(step) for step in range(20)])
    assert ours.at(20) == 1.0


def test_steps_fall_at_their_share_of_the_run():
    rate = LearningRate(1.0, epochs=10, steps_per_epoch=10, warmup_epochs=0)
    values = [rate.at(step) for step in range(100)]
    assert values == pytest.approx([1.0] * 70 + [0.1] * 20 + [0.01] * 10)


@given(st.integers(1, 400), st.integers(1, 50))
def test_a_tenth_of_every_run_is_at_the_lowest_step(epochs, steps):
    rate = LearningRate(1.0, epochs=epochs, steps_per_epoch=steps, warmup_epochs=0)
    lowest = sum(math.isclose(rate.at(step), 0.01) for step in range(max(0, epochs * steps * 8 // 10), epochs * steps))
    assert lowest == math.floor(epochs * steps / 10 + 1e-6)


@pytest.mark.parametrize(("kind", "middle"), [("cosine", 0.55), ("linear", 0.55)])
def test_cosine_and_linear_end_at_their_share_of_lr0(kind, middle):
    rate = LearningRate(2.0, kind, epochs=4, steps_per_epoch=25, final=0.1, warmup_epochs=0)
    assert rate.at(0) == 2.0
    assert rate.at(50) == pytest.approx(2 * middle)
    assert rate.at(100) == rate.at(1000) == pytest.approx(0.2)
    quarter = {"cosine": 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2, "linear": 1 - 0.9 / 4}[kind]
    assert rate.at(25) == pytest.approx(2 * quarter)


@pytest.mark.parametrize(("epochs", "steps"), [(1, 10), (5, 10), (20, 10), (100, 10)])
def test_the_warm_up_takes_two_epochs_or_a_tenth(epochs, steps):
    rate = LearningRate(1.0, epochs=epochs, steps_per_epoch=steps)
    assert rate.warmup == {1: 1, 5: 5, 20: 20, 100: 20}[epochs]
    assert rate.at(0) == 1e-6
    assert rate.at(rate.warmup) == 1.0


@given(st.sampled_from(("step", "cosine", "linear")), st.integers(1, 30), st.integers(1, 9),
       st.floats(1e-8, 1), st.none() | st.floats(0, 40), st.floats(0, 1))
def test_the_rate_never_leaves_its_bounds_and_never_rises_after_the_warm_up(kind, epochs, steps, lr0, warmup, final):
    rate = LearningRate(lr0, kind, epochs=epochs, steps_per_epoch=steps, warmup_epochs=warmup, final=final)
    values = [rate.at(step) for step in range(epochs * steps + 1)]
    assert all(0 <= value <= lr0 for value in values)
    later = values[rate.warmup:]
    assert all(b <= a for a, b in pairwise(later))


@pytest.mark.parametrize(("change", "where"), [
    ({"lr0": 0}, "--lr0"), ({"lr0": math.nan}, "--lr0"), ({"lr0": math.inf}, "--lr0"), ({"kind": "stairs"}, "--schedule"),
    ({"epochs": 0}, "--epochs"), ({"steps_per_epoch": 0}, "--accumulate"), ({"final": 1.5}, "--final-lr"),
    ({"milestones": (0.5, 1.5)}, "milestones"), ({"factor": -1}, "factor"), ({"warmup_epochs": -1}, "--warmup-epochs"),
    ({"literal_warmup": True, "warmup_epochs": 3}, "--literal-warmup"),
])
def test_numbers_that_make_no_sense_are_refused(change, where):
    with pytest.raises(OptionError, match=where):
        LearningRate(**{"lr0": 0.1, "epochs": 3, "steps_per_epoch": 4, **change})
