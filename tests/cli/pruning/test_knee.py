"""The knee: the last network up to which each halving of the parameters costs less than 0.03."""

from __future__ import annotations

import math

import pytest

from utils.cli.pruning.knee import knee
from utils.reports import knee_sentence


@pytest.mark.parametrize(("points", "place"), [
    ([(800, 0.8), (400, 0.79), (200, 0.77), (100, 0.6)], 2),
    ([(800, 0.8), (400, 0.79), (200, 0.78), (100, 0.76)], 3),
    ([(800, 0.8), (400, 0.7), (200, 0.7)], 0),
    ([(800, 0.8), (200, 0.75)], 1),                             # two halvings at 0.025
    ([(800, 0.8), (200, 0.73)], 0),
    ([(800, 0.8), (700, 0.78), (600, 0.776)], 2),               # steep for a moment, but not by 0.03 in a halving
    ([(800, 0.8), (700, 0.785), (600, 0.765), (500, 0.74)], 1),  # slides away in small steps
    ([(800, 0.8), (400, 0.82), (200, 0.81)], 2),
])
def test_quality_may_fall_slowly_until_then(points, place):
    assert knee(points) == place


@pytest.mark.parametrize("points", [[], [(800, 0.8)], [(800, 0.8), (400, None)], [(800, math.nan), (400, 0.7)]])
def test_what_was_not_measured_has_none(points):
    assert knee(points) is None


def test_it_is_told_in_words():
    sweep = {"flag": "--percent", "knee": {"value": 0.4, "quality": "agreement", "limit": 0.03, "seen": True}}
    assert knee_sentence(sweep) == "the knee: --percent 0.4; beyond, it costs more than 0.03 agreement for each halving of the " \
        "parameters"
    sweep["knee"]["seen"] = False
    assert knee_sentence(sweep).startswith("no knee up to --percent 0.4: it costs less than 0.03 agreement")
    sweep["knee"] |= {"value": None, "seen": True}
    assert knee_sentence(sweep).startswith("the knee: uncut; beyond")
