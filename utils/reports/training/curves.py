"""results.png: how losses, scores, sparsity and learning rate went over the epochs of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils.reports.training.csv_log import LOSS, METRICS, RATIO, RAW, SHARES, TEACHER, Row
from utils.reports.training.figure import COLOURS, QUIET, epoch_axis, figure_to_file, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLES: Mapping[str, str] = {
    "map50": "mAP@0.5", "map": "mAP@0.5:0.95", "precision": "precision", "recall": "recall", "f1": "F1",
    "share_1e2": "|gamma| < 0.01", "share_1e3": "|gamma| < 0.001", "prunable_share": "pressed",
    "largest_share_limit": "slim pruning can cut",
    "lr": "learning rate", "s": "sparsity s", "images_per_second": "images/s",
}
_MARKED = 40  # lines of at most so many points show each of them
_DECADES = 30  # from this ratio on an axis of positive values is logarithmic


@dataclass(frozen=True, slots=True)
class Line:
    """What one column held: (epochs done, value) where there was a value; may be empty."""

    title: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, rows: Sequence[Row], column: str, title: str = "") -> Line:
        """The finite values of a column."""
        points = [(int(row["epoch"] or 0) + 1, float(value)) for row in rows
                  if (value := row.get(column)) is not None and math.isfinite(value)]
        return cls(title or TITLES.get(column, column), tuple(x for x, _ in points), tuple(y for _, y in points))


def draw_curves(rows: Sequence[Row], path: str | Path) -> None:
    """Draw a training: four panels, 1200 x 900 pixels, PNG.

    Losses; scores; shares of small gammas (images/s where the training pressed none); learning rate and s. Values that
    are missing or not finite are left out, and lines run on to the next one.

    Args:
        rows: of `read_results`, at least one.
        path: the file; written whole or not at all.

    Raises:
        ValueError: no rows.
        EngineError: matplotlib is not installed. OutputError: the file cannot be written.
    """
    if not rows:
        raise ValueError("there are no rows to draw")
    parts = dict.fromkeys(name for row in rows for name in row if name.startswith(LOSS))
    losses = [Line.of(rows, name, name.removeprefix(LOSS)) for name in parts if not _is_share(name)]
    losses.sort(key=lambda line: line.title != "total")  # the total first, in the strongest colour
    scores = [Line.of(rows, name) for name in ("map50", "map", "precision", "recall")]
    shares = [Line.of(rows, name) for name in ("share_1e2", "share_1e3", "largest_share_limit")]
    with figure_to_file(path, 1200, 900) as figure:
        panels = figure.subplots(2, 2)
        last = max(int(row["epoch"] or 0) for row in rows) + 1
        _panel(panels[0, 0], "training loss", losses, last, ending="")
        _panel(panels[0, 1], "validation", scores, last, ending="best", top=1.0)
        if any(line.values for line in shares):
            _panel(panels[1, 0], "share of gammas", shares, last, ending="percent", top=1.0)
        else:
            _panel(panels[1, 0], "speed of training", [Line.of(rows, "images_per_second")], last, ending="", top=0.0)
        _rates(panels[1, 1], rows, last)


def draw_comparison(runs: Mapping[str, Sequence[Row]], path: str | Path, metric: str = "map50") -> None:
    """Draw the same column of several trainings into one picture of 1200 x 700 pixels, PNG.

    Args:
        runs: the rows of `read_results` by the name to show; a run without values of this column is named all the same.
        metric: a column of results.csv.

    Raises:
        ValueError: no run has a value in that column.
        EngineError, OutputError: as in `draw_curves`.
    """
    lines = [Line.of(rows, metric, name) for name, rows in runs.items()]
    if not any(line.values for line in lines):
        raise ValueError(f"none of these runs has a value in its column {metric}: {', '.join(runs) or 'no runs'}")
    title = TITLES.get(metric, metric.removeprefix(LOSS))
    with figure_to_file(path, 1200, 700) as figure:
        last = max(line.epochs[-1] for line in lines if line.values)
        ending = "best" if metric in METRICS else "percent" if metric in SHARES else ""
        _panel(figure.subplots(), title, lines, last, ending=ending, top=1.0 if metric in (*METRICS, *SHARES) else None)


def _is_share(name: str) -> bool:
    """Whether a part of the loss is none of its addends: what a teacher says before its weight, and shares."""
    return name.endswith("rratio") or (name.startswith(LOSS + TEACHER) and name.endswith((RAW, RATIO)))


def _panel(axes: Axes, title: str, lines: Sequence[Line], last: int, *, ending: str, top: float | None = None) -> None:
    """Lines with a legend that says where each ended. top: 1 for shares, 0 for an axis that begins at 0."""
    plain_axes(axes, title, x="epochs done")
    for number, line in enumerate(lines):
        if line.values:
            _draw(axes, line, number, f"{line.title}  {_ending(line, ending)}")
        elif len(lines) > 1:
            axes.plot([], [], color="#b8b8b8", label=f"{line.title}  not measured")
    drawn = [value for line in lines for value in line.values]
    if not drawn:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color=QUIET)
        axes.set_yticks([])
    elif top == 1.0:
        high = max(drawn)
        axes.set_ylim(-0.02, 1.02 if high > 0.5 else max(0.05, 1.15 * high))
    elif top == 0.0:
        axes.set_ylim(0, 1.15 * max(drawn))
    elif min(drawn) > 0 and max(drawn) / min(drawn) > _DECADES:
        axes.set_yscale("log")
    epoch_axis(axes, last)
    if drawn:
        axes.legend(loc="best")


def _rates(axes: Axes, rows: Sequence[Row], last: int) -> None:
    """Learning rate on the left, s on the right, where there is one."""
    rate, strength = Line.of(rows, "lr"), Line.of(rows, "s")
    plain_axes(axes, "learning rate and sparsity s" if strength.values else "learning rate", x="epochs done")
    _draw(axes, rate, 0, f"learning rate  {_ending(rate, '')}")
    handles = axes.get_lines()
    _rate_scale(axes, rate)
    if strength.values:
        other = axes.twinx()
        other.spines[["top", "left"]].set_visible(False)
        _draw(other, strength, 1, f"s  {_ending(strength, '')}")
        _rate_scale(other, strength)
        for side, colour in ((axes, COLOURS[0]), (other, COLOURS[1])):
            side.tick_params(axis="y", colors=colour, which="both")
        handles = [*handles, *other.get_lines()]
    epoch_axis(axes, last)
    axes.legend(handles=handles, loc="best")


def _rate_scale(axes: Axes, line: Line) -> None:
    if line.values and min(line.values) > 0 and max(line.values) / min(line.values) > _DECADES:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.15 * max((*line.values, 0.0)) or 1.0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)


def _draw(axes: Axes, line: Line, number: int, label: str) -> None:
    axes.plot(line.epochs, line.values, color=COLOURS[number % len(COLOURS)], label=label,
              linestyle=("-", "--", ":")[number // len(COLOURS) % 3],
              marker="o" if len(line.values) <= _MARKED else None)


def _ending(line: Line, kind: str) -> str:
    """The last value of a line as its legend tells it."""
    if not line.values:
        return ""
    end = line.values[-1]
    if kind == "percent":
        return f"{100 * end:.1f} %"
    if kind == "best":
        best = max(range(len(line.values)), key=line.values.__getitem__)
        return f"{end:.3f}" + ("" if best == len(line.values) - 1
                               else f"  (best {line.values[best]:.3f}, epoch {line.epochs[best]})")
    return f"{end:.3g}"
