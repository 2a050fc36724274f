"""The picture of a pruning: its size, and the same numbers as on the page."""

from __future__ import annotations

import cv2
import pytest
from matplotlib.figure import Figure

from tests.reports.pruning.facts import made_up_facts
from utils.errors import OutputError
from utils.reports import draw_pruning


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.get_axes()}


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would be saved; not rendered, which takes most of the time."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    return figures


@pytest.mark.parametrize(("sweep", "height"), [(True, 1220), (False, 900)])
def test_the_picture_has_its_size_and_something_on_it(sweep, height, tmp_path):
    draw_pruning(made_up_facts(sweep=sweep), tmp_path / "picture.png")
    picture = cv2.imread(str(tmp_path / "picture.png"))
    assert picture.shape == (height, 1400, 3)
    assert picture.std() > 20


def test_bars_are_the_widths_and_blocks_are_marked(drawn, tmp_path):
    facts = made_up_facts()
    draw_pruning(facts, tmp_path / "picture.png")
    axes = panels(drawn[0])["channels of each convolution: before (pale) and after"]
    before, after = ([bar.get_height() for bar in bars] for bars in axes.containers)
    assert before == [row["before"] for row in facts["summary"]["widths"]]
    assert after == [row["after"] for row in facts["summary"]["widths"]]
    assert axes.get_legend_handles_labels()[1] == ["residual block removed"]
    assert len(axes.patches) == 2 * len(before) + len(facts["summary"]["blocks"])


def test_the_histogram_has_the_threshold_and_the_curves_have_the_sweeps_points(drawn, tmp_path):
    facts = made_up_facts()
    draw_pruning(facts, tmp_path / "picture.png")
    shown = panels(drawn[0])
    (line,) = shown["channels that could go, by |gamma| before the cut"].get_lines()
    assert line.get_xdata()[0] == facts["gammas"]["threshold"]
    for title, key in (("mAP@0.5", "map50"), ("GFLOPs", "gflops"), ("parameters", "parameters"), ("latency", "latency_ms")):
        curve, level, dot = shown[title].get_lines()
        assert list(curve.get_xdata()) == [point["value"] for point in facts["sweep"]["points"]]
        assert list(curve.get_ydata()) == [point[key] for point in facts["sweep"]["points"]]
        assert level.get_ydata()[0] == facts["sweep"]["uncut"][key]
        assert dot.get_xdata()[0] == 0.5


def test_without_data_there_is_no_map_on_it(drawn, tmp_path):
    facts = made_up_facts(blocks=False)
    for side in (facts["before"], facts["after"], facts["sweep"]["uncut"], *facts["sweep"]["points"]):
        side["map50"] = side["map"] = None
    facts["gammas"] |= {"kept": [0, 0], "removed": [0, 0], "edges": [0.1, 1.0, 2.0], "threshold": None}
    draw_pruning(facts, tmp_path / "picture.png")
    assert "mAP@0.5" not in panels(drawn[0])
    assert [tick.get_text() for tick in panels(drawn[0])["what is left"].get_yticklabels()] == [
        "parameters", "GFLOPs", ".weights file", "latency, median", "latency, p95"]


def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        draw_pruning(made_up_facts(sweep=False), tmp_path / "file" / "picture.png")
