"""A comparison as a page: every figure and picture in it, nothing fetched, and names that are text whatever they hold."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.reports.pruning.parsed import ParsedPage
from utils.reports import Look, comparison_page, draw_networks, shot

ROWS = {"baseline": {"map50": 0.8123, "parameters": 8_000_000, "verified": "verified"},
        "<b>small": {"map50": 0.7, "parameters": 1_000_000, "verified": "differs"}}
FILES = {name: (Path("a.cfg"), Path("a & b.weights")) for name in ROWS}


def test_the_page_holds_every_figure_file_and_picture_and_fetches_nothing():
    boxes = np.array([[10.0, 10, 60, 60, 0.9, 0]])
    one = shot(np.full((120, 200, 3), 90, np.uint8), boxes, ["cat"])
    text = comparison_page(ROWS, FILES, b"a picture", [Look("a.jpg", dict.fromkeys(ROWS, one))],
                           measured="measured so", command_line="python compare.py 'a b'", version="Bonsai 1")
    said = " ".join(ParsedPage(text).sections.values())
    assert "<b>small" not in text
    for words in ("0.8123", "8.00 M", "NO", "a & b.weights", "<b>small", "measured so", "'a b'"):
        assert words in said, words
    assert ">baseline: 1 cat</figcaption>" in text
    assert text.count("<img") == 1 + len(ROWS)
    assert text.count('src="data:image/') == 1 + len(ROWS)
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize(("trainings", "width"), [({}, 900), ({"baseline": [{"epoch": 0, "map50": 0.1}, {"epoch": 1, "map50": 0.8}]}, 1400)])
def test_the_picture_has_a_second_panel_where_something_was_trained(tmp_path, trainings, width):
    draw_networks(ROWS, trainings, tmp_path / "all.png")
    assert cv2.imread(str(tmp_path / "all.png")).shape == (700, width, 3)


def test_networks_without_a_score_make_an_empty_panel_and_no_error(tmp_path):
    draw_networks({"a": {"map50": None, "parameters": 5}}, {}, tmp_path / "all.png")
    assert (tmp_path / "all.png").stat().st_size > 0
