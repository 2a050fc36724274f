"""How all curves and histograms look: size, colours and fonts of a matplotlib figure, and its way to a PNG file.

Figures are made and saved as objects; pyplot, its windows and its global state have no part in it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from utils.atomic import write_bytes
from utils.deploy.optional import optional_module

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 100
INK, QUIET, GRID = "#222222", "#666666", "#e4e4e4"
# Okabe and Ito: told apart with every kind of colour vision; its yellow is too pale for lines on white, brown instead
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#222222")
_STYLE = {
    "font.family": "DejaVu Sans", "font.size": 11, "axes.titlesize": 13, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.labelcolor": QUIET, "axes.edgecolor": "#b0b0b0", "axes.axisbelow": True,
    "text.color": INK, "axes.titlecolor": INK, "xtick.color": QUIET, "ytick.color": QUIET, "grid.color": GRID,
    "legend.frameon": False, "legend.fontsize": 10, "lines.linewidth": 1.8, "lines.markersize": 4,
}


@contextmanager
def figure_to_file(path: str | Path, width: int, height: int) -> Iterator[Figure]:
    """An empty white figure of width x height pixels; a PNG file at `path` when the block ends well.

    Within the block matplotlib's settings are its defaults with our style, whatever the user's own file says.

    Raises:
        EngineError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    style = optional_module("matplotlib.style", "matplotlib")
    figure_module = optional_module("matplotlib.figure", "matplotlib")
    with style.context(["default", _STYLE]):
        figure = figure_module.Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH,
                                      facecolor="white", layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        yield figure
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=DOTS_PER_INCH)
    write_bytes(path, data.getvalue())


def plain_axes(axes: Axes, title: str = "", *, x: str = "", y: str = "") -> None:
    """A title, names of the axes, a pale grid, and no frame at the top and at the right."""
    axes.set_title(title, pad=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, which="major", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def epoch_axis(axes: Axes, last: int) -> None:
    """Whole numbers from the first epoch to the last along x, also where there is but one."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(1 - 0.02 * max(1, last), last + 0.02 * max(1, last) + (0.5 if last == 1 else 0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
