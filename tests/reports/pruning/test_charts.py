"""The geometry of a page's charts: where bars, curves and ticks lie."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.reports.pruning.facts import made_up_facts
from utils.reports.pruning.charts import curve_chart, gamma_chart, width_chart
from utils.reports.pruning.curves import swept_curves
from utils.reports.pruning.ticks import logarithmic_ticks, short, whole_ticks
from utils.reports.units import milliseconds, score


@pytest.mark.parametrize("convolutions", [1, 24, 75, 400])
def test_every_bar_and_band_lies_within_the_axes(convolutions):
    summary = made_up_facts(convolutions=convolutions)["summary"]
    chart = width_chart(summary["widths"], summary["blocks"])
    assert len(chart.bars) == convolutions
    for bar in chart.bars:
        assert chart.left <= bar.x <= bar.x + bar.width <= chart.right + 1e-6
        assert 0 <= bar.part <= bar.whole <= chart.bottom - chart.top
    assert all(chart.left <= band.x < band.x + band.width <= chart.right + 1e-6 for band in chart.bands)
    places = [tick.at for tick in chart.x_ticks]
    assert all(right - left > 30 for left, right in pairwise(places)), "labels would overlap"


def test_a_band_covers_the_convolutions_of_its_block_and_no_other():
    widths = [{"layer": layer, "before": 8, "after": 8} for layer in (0, 1, 3, 4, 6)]
    (band,) = width_chart(widths, [(3, 4, 5)]).bands
    inside = [row["layer"] for row, bar in zip(widths, width_chart(widths, []).bars, strict=True)
              if band.x <= bar.x and bar.x + bar.width <= band.x + band.width]
    assert inside == [3, 4]


def test_the_threshold_parts_bars_that_go_from_bars_that_stay():
    gammas = {"edges": [1e-4, 1e-3, 1e-2, 1e-1, 1.0], "removed": [9, 99, 0, 0], "kept": [0, 0, 9, 999], "threshold": 0.01}
    chart = gamma_chart(gammas)
    (mark,) = chart.marks
    assert [bar.part == 0 for bar in chart.bars] == [bar.x < mark.at for bar in chart.bars] == [True, True, False, False]
    heights = [bar.whole for bar in chart.bars]
    assert heights == pytest.approx([heights[0], 2 * heights[0], heights[0], 3 * heights[0]]), "logarithms of 1 + the count"
    assert [tick.text for tick in chart.x_ticks] == ["0.0001", "0.001", "0.01", "0.1", "1"]


def test_a_bar_of_both_is_split_in_proportion():
    (bar,) = gamma_chart({"edges": [0.5, 1.0], "removed": [30], "kept": [10], "threshold": None}).bars
    assert bar.part == pytest.approx(bar.whole / 4)


def test_a_curve_falls_where_its_figures_fall_and_the_written_cut_lies_on_it():
    facts = made_up_facts()
    curves = {curve.title: curve for curve in swept_curves(facts)}
    assert list(curves) == ["mAP@0.5", "parameters", "GFLOPs", "latency"]
    chart = curve_chart(curves["latency"])
    heights = [y for _, y, _ in chart.line]
    assert heights == sorted(heights), "pixels grow downwards"
    assert chart.level < heights[0]
    assert chart.dot[:2] in [(x, y) for x, y, _ in chart.line]
    assert chart.top <= min(heights) <= max(heights) <= chart.bottom


def test_a_written_cut_that_the_sweep_did_not_try_has_a_place_of_its_own():
    facts = made_up_facts()
    facts["sweep"]["chosen"], facts["after"]["gflops"] = 0.55, 1.25
    assert swept_curves(facts)[2].written == (0.55, 1.25)


def test_one_point_and_nothing_but_zeros_can_be_drawn():
    facts = made_up_facts()
    facts["sweep"]["points"] = [{**facts["sweep"]["points"][0], "value": 0.5, "map50": 0.0}]
    facts["sweep"]["uncut"]["map50"] = 0.0
    chart = curve_chart(swept_curves(facts)[0])
    assert chart.line[0][1] == chart.level == chart.bottom


@pytest.mark.parametrize(("low", "high", "expected"), [
    (1e-6, 1.5, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]), (0.05, 1.5, [0.05, 0.1, 0.2, 0.5, 1]),
    (0.6, 1.2, [0.6, 0.7, 0.8, 0.9, 1]), (0.001, 0.1, [0.001, 0.01, 0.1])])
def test_logarithmic_ticks_are_round_and_enough(low, high, expected):
    assert logarithmic_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(("most", "expected"), [(1, [0, 1]), (3, [0, 1, 2, 3]), (64, [0, 20, 40, 60, 80]),
                                                (1024, [0, 500, 1000, 1500]), (0, [0, 1])])
def test_whole_ticks_reach_over_the_largest(most, expected):
    assert whole_ticks(most) == expected


def test_ticks_have_only_the_digits_that_a_reader_needs():
    assert [short(value, score) for value in (0, 0.5, 0.7724)] == ["0", "0.5", "0.772"]
    assert [short(value, milliseconds) for value in (0, 23.75, 120.0)] == ["0", "23.8 ms", "120 ms"]
