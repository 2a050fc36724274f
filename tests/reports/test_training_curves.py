"""results.png shows what results.csv holds, whatever is missing from it."""

from __future__ import annotations

import sys

import cv2
import matplotlib
import pytest
from matplotlib.figure import Figure

from tests.reports.training_reports import epoch_report
from utils.errors import EngineError, OutputError
from utils.reports.training import draw_comparison, draw_curves, row_of


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would be saved, newest last; not rendered, which takes most of the time."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    return figures


def lines_of(axes):
    return {line.get_label().split("  ")[0]: (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def panel(figure, title):
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == title)


def test_every_panel_holds_the_values_of_its_columns(drawn, tmp_path):
    draw_curves([row_of(epoch_report(epoch)) for epoch in range(4)], tmp_path / "results.png")
    (figure,) = drawn
    losses = lines_of(panel(figure, "training loss"))
    assert list(losses) == ["total", "box", "obj", "cls"]
    assert losses["box"] == ([1, 2, 3, 4], [1.25, 0.625, pytest.approx(1.25 / 3), 0.3125])
    scores = lines_of(panel(figure, "validation"))
    assert scores["mAP@0.5"][1] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    shares = lines_of(panel(figure, "share of gammas"))
    assert shares["|gamma| < 0.01"][1] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert shares["slim pruning can cut"][1] == pytest.approx([0, 0.09, 0.18, 0.27])
    rates = panel(figure, "learning rate and sparsity s")
    assert lines_of(rates)["learning rate"][1] == pytest.approx([0.002, 0.001, 0.002 / 3, 0.0005])
    beside = next(axes for axes in figure.axes if axes is not rates and axes.bbox.bounds == rates.bbox.bounds)
    assert lines_of(beside)["s"][1] == [0.001] * 4


def test_missing_values_and_values_that_are_no_numbers_are_bridged(drawn, tmp_path):
    rows = [row_of(epoch_report(epoch, metrics=epoch_report(epoch).metrics if epoch % 2 else None)) for epoch in range(5)]
    rows[2]["train/box"] = float("nan")
    rows[3]["train/box"] = float("inf")
    draw_curves(rows, tmp_path / "results.png")
    assert lines_of(panel(drawn[0], "validation"))["recall"] == ([2, 4], [0.6, 0.6])
    assert lines_of(panel(drawn[0], "training loss"))["box"] == ([1, 2, 5], [1.25, 0.625, 0.25])


def test_the_legend_tells_the_last_and_the_best_value(drawn, tmp_path):
    rows = [row_of(epoch_report(epoch)) for epoch in range(3)]
    rows[1]["map50"] = 0.9
    draw_curves(rows, tmp_path / "results.png")
    texts = [text.get_text() for text in panel(drawn[0], "validation").get_legend().get_texts()]
    assert "mAP@0.5  0.150  (best 0.900, epoch 2)" in texts


@pytest.mark.parametrize("changes", [
    {"metrics": None, "sparsity": None, "s": None, "losses": {"total": float("nan")}},
    {"losses": {}, "lr": 0.0, "s": 0.0, "images_per_second": float("nan"), "sparsity": None},
])
def test_one_epoch_is_enough_whatever_it_lacks(tmp_path, changes):
    draw_curves([row_of(epoch_report(0, **changes))], tmp_path / "results.png")
    assert cv2.imread(str(tmp_path / "results.png")).shape == (900, 1200, 3)


def test_a_training_without_sparsity_shows_its_speed_instead(drawn, tmp_path):
    draw_curves([row_of(epoch_report(epoch, sparsity=None, s=None)) for epoch in range(3)], tmp_path / "results.png")
    titles = [axes.get_title(loc="left") for axes in drawn[0].axes]
    assert titles == ["training loss", "validation", "speed of training", "learning rate"]


def test_the_users_own_style_and_pyplot_take_no_part(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it fails
    rows = [row_of(epoch_report(epoch)) for epoch in range(3)]
    draw_curves(rows, tmp_path / "plain.png")
    with matplotlib.rc_context({"axes.facecolor": "black", "lines.linewidth": 9, "font.size": 30}):
        draw_curves(rows, tmp_path / "dark.png")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "dark.png").read_bytes()


def test_no_rows_and_no_folder_are_errors(drawn, tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        draw_curves([], tmp_path / "results.png")
    with pytest.raises(OutputError, match="cannot be written"):
        draw_curves([row_of(epoch_report(0))], tmp_path / "missing" / "results.png")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(EngineError, match='pip install "matplotlib"'):
        draw_curves([row_of(epoch_report(0))], tmp_path / "results.png")


def test_runs_are_compared_by_one_column_over_their_own_epochs(drawn, tmp_path):
    baseline = [row_of(epoch_report(epoch)) for epoch in range(3)]
    sparse = [row_of(epoch_report(epoch, metrics=None if epoch < 3 else {"map50": 0.5})) for epoch in range(5)]
    draw_comparison({"baseline": baseline, "sparse": sparse, "empty": []}, tmp_path / "compared.png")
    lines = lines_of(drawn[0].axes[0])
    assert lines["baseline"] == ([1, 2, 3], pytest.approx([0.05, 0.1, 0.15]))
    assert lines["sparse"] == ([4, 5], [0.5, 0.5])
    assert "empty" in lines
    draw_comparison({"baseline": baseline}, tmp_path / "compared.png", "train/box")
    assert drawn[1].axes[0].get_title(loc="left") == "box"


@pytest.mark.parametrize("runs", [{}, {"one": []}, {"one": [{"epoch": 0, "map50": None}]}])
def test_a_column_that_no_run_has_cannot_be_compared(tmp_path, runs):
    with pytest.raises(ValueError, match="map50"):
        draw_comparison(runs, tmp_path / "compared.png")
