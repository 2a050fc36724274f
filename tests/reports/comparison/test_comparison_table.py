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


def test_whether_other_engines_agree_is_said_in_a_word():
    text = comparison_table({"a": {"map50": 0.5, "verified": "verified"}, "b": {"map50": 0.5, "verified": "differs"},
                             "c": {"map50": 0.5, "verified": "not verified"}}, width=100)
    header, _, *rows = text.splitlines()
    assert header.endswith("verified")
    assert [row.split(maxsplit=2)[2] for row in rows] == ["yes", "NO", "no engine"]


def test_a_narrow_terminal_loses_scores_before_it_cuts_names():
    figures = {"map50": 0.5, "map": 0.3, "f1": 0.6, "parameters": 564_510, "gflops": 0.156, "file_bytes": 2_258_040,
               "torch_ms": 19.1, "opencv_ms": 7.4, "verified": "verified"}
    rows = {"layer_channel_prune": figures, "prune": figures}
    width = 1000
    for gone in ((), ("F1",), ("F1", "mAP@.5:.95")):
        lines = comparison_table(rows, width=width).splitlines()
        assert max(map(len, lines)) <= width
        assert [title for title in ("F1", "mAP@.5:.95") if title not in lines[0]] == list(gone)
        assert lines[2].startswith("layer_channel_prune ")
        width = max(map(len, lines)) - 1  # one less than what this table needs
    assert "…" in comparison_table(rows, width=width).splitlines()[2]
