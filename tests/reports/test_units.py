"""Numbers as people read them."""

from __future__ import annotations

import pytest

from utils.reports import units


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (9999, "9999"), (10_000, "10.00 k"), (346_062, "346.06 k"), (999_999, "1.00 M"),
    (61_949_149, "61.95 M"), (65.9e9, "65.90 G"), (-20_000, "-20.00 k"), (None, ""),
])
def test_counts_scale_by_powers_of_a_thousand(value, text):
    assert units.count(value) == text


@pytest.mark.parametrize(("value", "text"), [(248_007_048, "248.01 MB"), (20, "20 B"), (1000, "1.00 kB")])
def test_file_sizes_count_as_disks_do(value, text):
    assert units.file_size(value) == text


@pytest.mark.parametrize(("value", "text"), [(617.2, "617 ms"), (46.04, "46.0 ms"), (0.834, "0.83 ms"), (None, "")])
def test_milliseconds_show_the_digits_that_matter(value, text):
    assert units.milliseconds(value) == text


def test_a_latency_says_how_it_was_measured():
    measured = {"median_ms": 12.41, "p95_ms": 13.9, "engine": "opencv", "threads": 2, "batch": 1, "repeats": 50, "warmup": 5}
    assert units.latency(measured) == ("12.4 ms median, 13.9 ms p95 "
                                       "(opencv, 2 threads, batch 1, 50 runs after 5 of warm-up)")
    assert units.latency({"median_ms": 3.0}) == "3.00 ms median"
    assert units.latency(None) == "not measured"


def test_what_is_not_defined_is_a_dash():
    assert units.score(float("nan")) == "-"
    assert units.percent(float("nan")) == "-"
    assert units.percent(0.1234) == "12.3 %"
