"""Networks side by side: one row each, no empty columns."""

from __future__ import annotations

from utils.reports import comparison_table


def test_one_row_per_network_and_only_columns_that_somebody_fills():
    text = comparison_table({
        "baseline": {"map50": 0.8123, "parameters": 8_000_000, "torch_ms": 12.0, "opencv_ms": None},
        "pruned": {"map50": 0.8, "parameters": 1_000_000, "torch_ms": 6.0, "opencv_ms": None},
    }, width=100)
    header, _, first, second = text.splitlines()
    assert "opencv" not in header
    assert "GFLOPs" not in header
    assert first.split()[0] == "baseline"
    assert "0.8123" in first or "0.812" in first
    assert "8.00 M" in first
    assert "1.00 M" in second
    assert "torch" in header


def test_a_gap_stays_empty_where_another_network_has_a_figure():
    text = comparison_table({"a": {"opencv_ms": None, "map50": 0.5}, "b": {"opencv_ms": 3.0, "map50": 0.5}}, width=100)
    _, _, first, second = text.splitlines()
    assert "ms" not in first
    assert "3.0" in second
