"""Pictures of gammas count every gamma, and count it where it belongs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from utils.reports.training import draw_gamma_history, draw_layer_gammas


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would be saved, newest last; not rendered, which takes most of the time."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: figures.append(self))
    return figures


def test_each_moment_has_a_row_and_the_share_of_its_small_gammas(drawn, tmp_path):
    start, end = np.linspace(0.5, 1.5, 1000), np.concatenate([np.full(600, -0.004), np.linspace(0.2, 1, 400)])
    draw_gamma_history([("start", start), ("epoch 8", end)], tmp_path / "gammas.png")
    rows, cumulative, shares = drawn[0].axes
    assert [label.get_text() for label in rows.get_yticklabels()] == ["start", "epoch 8"]
    assert [label.get_text() for label in shares.get_yticklabels()] == ["0 %", "60 %"]
    assert [round(float(tick)) for tick in shares.get_yticks()] == [1, 0]  # the first moment is at the top
    for gammas, line in zip((start, end), cumulative.get_lines(), strict=False):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        for value in (0.003, 0.01, 0.55, 0.9):
            assert y[np.searchsorted(x, value, side="right") - 1] == pytest.approx(np.mean(np.abs(gammas) <= value), abs=0.01)


def test_the_height_of_a_bar_is_the_logarithm_of_its_count(drawn, tmp_path):
    draw_gamma_history([("now", np.concatenate([np.zeros(999), np.full(9, 0.5), [1.0]]))], tmp_path / "gammas.png")
    (steps,) = drawn[0].axes[0].patches
    heights = steps.get_data().values - steps.get_data().baseline
    assert np.sort(heights)[-3:] / heights.max() * 3 == pytest.approx([np.log10(2), 1, 3])
    assert np.count_nonzero(heights) == 3
    assert heights[0] == heights.max()


KINDS = (np.ones(50), np.zeros(50), np.array([0.3]), np.array([1e-30, 1e3, np.nan, np.inf]), np.full((4, 3), -2, np.float32))


def test_gammas_of_every_kind_can_be_drawn_together(tmp_path):
    draw_gamma_history([(f"epoch {i}", gammas) for i, gammas in enumerate(KINDS)], tmp_path / "history.png")
    draw_layer_gammas(dict(enumerate(KINDS)), {0: KINDS[3]}, tmp_path / "layers.png")
    assert all(cv2.imread(str(path)).shape[1] == 1200 for path in tmp_path.iterdir())


@pytest.mark.parametrize("gammas", KINDS[1:3])
def test_gammas_of_every_kind_can_be_drawn_alone(tmp_path, gammas):
    draw_gamma_history([("now", gammas)], tmp_path / "history.png")
    assert cv2.imread(str(tmp_path / "history.png")).shape == (520, 1200, 3)


def test_nothing_to_draw_is_an_error(tmp_path):
    for history in ([], [("a", np.zeros(0))], [("a", np.array([np.nan]))]):
        with pytest.raises(ValueError, match="no gammas"):
            draw_gamma_history(history, tmp_path / "gammas.png")
    with pytest.raises(ValueError, match="no gammas"):
        draw_layer_gammas({}, {}, tmp_path / "layers.png")


def test_a_layers_column_holds_all_its_channels_and_its_largest_gamma(drawn, tmp_path):
    before = {2: np.ones(8), 7: np.full(4, 0.5)}
    after = {2: np.array([0.0, 0.0, 0.002, 0.7]), 7: np.full(4, 0.03)}
    draw_layer_gammas(before, after, tmp_path / "layers.png")
    upper, lower = drawn[0].axes[:2]
    assert [label.get_text() for label in lower.get_xticklabels()] == ["2", "7"]
    for axes, side in ((upper, before), (lower, after)):
        mesh, largest = axes.collections[:2]
        shares = np.ma.filled(mesh.get_array(), 0.0)
        edges = mesh.get_coordinates()[:, 0, 1]
        assert shares.sum(axis=0) == pytest.approx([1, 1])
        for column, layer in enumerate((2, 7)):
            for value in np.unique(side[layer]):
                row = min(max(np.searchsorted(edges, value, side="right") - 1, 0), len(edges) - 2)
                assert shares[row, column] == pytest.approx(np.mean(side[layer] == value))
        assert [segment[0][1] for segment in largest.get_segments()] == [max(side[2]), max(side[7])]


def test_a_layer_that_is_missing_on_one_side_leaves_its_column_empty(drawn, tmp_path):
    draw_layer_gammas({0: np.ones(4), 1: np.ones(4)}, {1: np.ones(4)}, tmp_path / "layers.png")
    shares = np.ma.filled(drawn[0].axes[1].collections[0].get_array(), 0.0)
    assert shares.sum(axis=0) == pytest.approx([0, 1])


def test_an_empty_side_can_be_drawn(drawn, tmp_path):
    draw_layer_gammas({0: np.ones(4)}, {}, tmp_path / "layers.png")
    assert np.ma.filled(drawn[0].axes[1].collections[0].get_array(), 0.0).sum() == 0
