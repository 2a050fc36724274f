"""Several networks as one picture: what each gives for its size, and how those that were trained got there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.reports.comparison.comparison_table import Figures
from utils.reports.pruning.ticks import short
from utils.reports.training.csv_log import Row
from utils.reports.training.curves import Line
from utils.reports.training.figure import COLOURS, epoch_axis, figure_to_file, plain_axes
from utils.reports.units import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vP*X"


def draw_networks(rows: Mapping[str, Figures], trainings: Mapping[str, Sequence[Row]], path: str | Path) -> None:
    """Draw mAP@0.5 against parameters, and where there are trainings mAP@0.5 over their epochs; 700 pixels high, PNG.

    Args:
        rows: figures by name, as `comparison_table` takes them.
        trainings: the rows of results.csv of those that were trained, by the same names.
        path: the file; written whole or not at all.

    Raises:
        EngineError: matplotlib is not installed. OutputError: the file cannot be written.
    """
    lines = {name: line for name, epochs in trainings.items() if (line := Line.of(epochs, "map50", name)).values}
    with figure_to_file(path, 1400 if lines else 900, 700) as figure:
        panels = figure.subplots(1, 2 if lines else 1, squeeze=False)[0]
        _sizes(panels[0], rows)
        if lines:
            _trainings(panels[1], lines, {name: number for number, name in enumerate(rows)})


def _sizes(axes: Axes, rows: Mapping[str, Figures]) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

    plain_axes(axes, "mAP@0.5 for the size", x="parameters")
    for number, (name, figures) in enumerate(rows.items()):
        size, score = figures.get("parameters"), figures.get("map50")
        if isinstance(size, (int, float)) and isinstance(score, float) and size:
            axes.plot(size, score, linestyle="none", label=name, markersize=11, alpha=0.85,
                      **_look(number))
    low, high = axes.get_xlim()
    axes.set_xlim(0, high + (high - low) * 0.05)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value, count)))
    axes.set_ylim(0, max(0.05, 1.15 * axes.get_ylim()[1]))
    if axes.get_lines():
        axes.legend(loc="lower right")


def _trainings(axes: Axes, lines: Mapping[str, Line], number_of: Mapping[str, int]) -> None:
    plain_axes(axes, "mAP@0.5 over the training", x="epochs done")
    for name, line in lines.items():
        axes.plot(line.epochs, line.values, label=f"{name}  {line.values[-1]:.3f}",
                  linestyle=("-", "--")[number_of[name] // len(COLOURS) % 2], **_look(number_of[name]))
    axes.set_ylim(0, max(0.05, 1.15 * axes.get_ylim()[1]))
    epoch_axis(axes, max(line.epochs[-1] for line in lines.values()))
    axes.legend(loc="lower right")


def _look(number: int) -> dict[str, Any]:
    """Colour and marker of the network of this number; both together repeat after 56 of them."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": _MARKERS[(number + number // len(COLOURS)) % len(_MARKERS)]}
