"""A bar for people, a line now and then for log files, nothing for those who want quiet."""

from __future__ import annotations

import io

import pytest

import utils.cli.progress as module
from utils.cli import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_quick_work_shows_nothing_anywhere():
    for stream in (io.StringIO(), Terminal()):
        with progress_bar("evaluating", 3, stream=stream) as advance:
            for _ in range(3):
                advance(1)
        assert stream.getvalue().strip("\r \x1b[A") == ""


def test_a_log_file_gets_a_line_now_and_then(monkeypatch):
    clock = iter([0.0, 10.0, 20.0, 30.0, 36.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with progress_bar("evaluating", 8, stream=stream) as advance:
        for _ in range(4):
            advance(2)
    assert stream.getvalue() == "evaluating: 4 of 8 images, 50 %\nevaluating: 8 of 8 images, 100 %\n"


def test_quiet_shows_nothing_even_when_it_takes_long(monkeypatch):
    monkeypatch.setattr(module, "SECONDS_PER_LINE", 0.0)
    stream = io.StringIO()
    with progress_bar("evaluating", 8, quiet=True, stream=stream) as advance:
        advance(8)
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True)])
def test_a_bar_on_a_terminal_has_colour_unless_no_color_is_set(monkeypatch, no_color, coloured):
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = Terminal()
    with progress_bar("evaluating", 4, stream=stream) as advance:
        for _ in range(4):
            advance(1)
    assert "evaluating" in stream.getvalue()
    assert ("\x1b[3" in stream.getvalue()) == coloured
