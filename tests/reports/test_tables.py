"""Tables line up, fit the terminal, and never shorten a number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.reports import bar, table

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Mn", "Me", "Zl", "Zp")), max_size=30)


def test_numbers_stand_under_each_other_and_words_start_together():
    text = table([("person", 254, 0.5), ("car", 46, 0.25)], ("class", "labels", "AP"), width=80)
    assert text.splitlines() == [
        "class   labels    AP",
        "──────  ──────  ────",
        "person     254   0.5",
        "car         46  0.25",
    ]


def test_a_column_of_units_counts_as_numbers():
    last = table([("parameters", "62.00 M"), ("file", "248.0 MB"), ("time", "12.4 ms")], ("", "before"), width=80)
    assert [line[-1] for line in last.splitlines()] == ["e", "─", "M", "B", "s"]


def test_long_words_are_shortened_until_the_table_fits():
    lines = table([("a very long name of a class that nobody asked for", 123456)], ("class", "n"), width=30).splitlines()
    assert max(map(len, lines)) <= 30
    assert lines[-1].endswith("123456")
    assert "…" in lines[-1]


def test_numbers_are_never_shortened():
    assert "1234567890123" in table([("1234567890123",)], ("n",), width=4)


def test_an_empty_cell_is_empty_and_does_not_make_a_column_of_numbers_text():
    assert table([("a", 1), ("b", None)], ("", "n"), width=80).splitlines()[-1] == "b"


def test_wide_characters_take_two_cells():
    lines = table([("中文", 1), ("ab", 2)], ("name", "n"), width=80).splitlines()
    assert lines[2:] == ["中文  1", "ab    2"]


def test_a_row_of_another_length_is_an_error():
    with pytest.raises(ValueError, match="a row has 1 cells, the table has 2 columns"):
        table([("a",)], ("x", "y"))


@given(st.lists(st.tuples(TEXT, TEXT), max_size=6), st.integers(20, 60))
def test_a_table_of_words_fits_any_terminal_of_twenty_characters_or_more(rows, width):
    assert all(len(line) <= width for line in table(rows, ("one", "two"), "<<", width=width).splitlines())


def test_without_a_terminal_the_width_comes_from_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, table([("x" * 200,)], ("name",)).splitlines())) == 40


@given(st.floats(0, 1), st.integers(1, 40))
def test_a_bar_always_has_its_width(share, width):
    assert len(bar(share, width)) == width


def test_a_bar_is_empty_full_and_half():
    assert (bar(0, 4), bar(1, 4), bar(0.5, 4)) == ("····", "████", "██··")
