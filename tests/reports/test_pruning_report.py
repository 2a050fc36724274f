"""The tables of a pruning: before and after, asked and reached, width by width."""

from __future__ import annotations

from utils.reports import before_after_table, ratios_table, widths_table


def test_costs_change_in_per_cent_and_scores_in_points():
    text = before_after_table(
        {"map50": 0.5, "parameters": 61_949_149, "gflops": 65.879, "file_bytes": 248_007_048, "latency_ms": 350.0},
        {"map50": 0.4567, "parameters": 10_900_000, "gflops": 19.1, "file_bytes": 43_600_000, "latency_ms": 101.25},
        width=100,
    )
    lines = {line.split("  ")[0]: line.split()[-2:] for line in text.splitlines()[2:]}
    assert lines["mAP@0.5"] == ["0.4567", "-0.0433"]
    assert lines["parameters"] == ["-82.4", "%"]
    assert lines[".weights file"] == ["-82.4", "%"]
    assert "mAP@0.5:0.95" not in text  # nobody measured it


def test_a_cost_that_we_do_not_know_still_gets_a_row():
    assert "energy_j" in before_after_table({"energy_j": 2.5}, {"energy_j": 1.25}, width=100)


def test_a_score_that_is_not_defined_has_no_change():
    assert before_after_table({"map50": float("nan")}, {"map50": 0.5}, width=80).splitlines()[-1].split() == [
        "mAP@0.5", "-", "0.5000"]


def test_asked_and_reached_stand_side_by_side():
    text = ratios_table({"channels": 0.5}, {"channels": 0.498, "parameters": 0.748}, width=80)
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["channels", "50.0", "%", "49.8", "%"], ["parameters", "74.8", "%"]]


def test_widths_have_a_bar_of_what_is_left():
    lines = widths_table([(0, "convolutional", 32, 16), (3, "convolutional", 64, 64)], width=100, bar_width=8).splitlines()
    assert lines[2].split() == ["0", "convolutional", "32", "16", "50", "%", "████····"]
    assert lines[3].endswith("████████")
