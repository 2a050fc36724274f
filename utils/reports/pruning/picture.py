"""A pruning as one picture: costs before and after, widths over the network's course, gammas, and the sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.reports.pruning.curves import swept_curves
from utils.reports.pruning.tables import ROWS
from utils.reports.pruning.ticks import logarithmic_ticks, short
from utils.reports.training.figure import COLOURS, INK, QUIET, figure_to_file, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STAY, _GO, _PALE = COLOURS[0], COLOURS[1], "#c9d3da"


def draw_pruning(facts: Mapping[str, Any], path: str | Path) -> None:
    """Draw what the pruning command found, 1400 pixels wide, PNG.

    Args:
        facts: what the command writes as JSON, as plain values.
        path: the file; written whole or not at all.

    Raises:
        EngineError: matplotlib is not installed. OutputError: the file cannot be written.
    """
    sweep = facts["sweep"]
    with figure_to_file(path, 1400, 1220 if sweep else 900) as figure:
        rows = figure.subfigures(3 if sweep else 2, 1, height_ratios=(1.1, 1, 0.8) if sweep else (1.1, 1), squeeze=False)[:, 0]
        for row in rows:
            row.set_facecolor("white")
        _widths(rows[0].subplots(), facts["summary"])
        left, right = rows[1].subplots(1, 2)
        _costs(left, facts)
        _gammas(right, facts["gammas"])
        if sweep:
            _curves(rows[2], facts)


def _widths(axes: Axes, summary: Mapping[str, Any]) -> None:
    plain_axes(axes, "channels of each convolution: before (pale) and after", x="layer")
    widths = summary["widths"]
    x = np.arange(len(widths))
    axes.bar(x, [row["before"] for row in widths], color=_PALE, width=0.8)
    axes.bar(x, [row["after"] for row in widths], color=_STAY, width=0.8)
    place = {row["layer"]: number for number, row in enumerate(widths)}
    for number, block in enumerate(summary["blocks"]):
        columns = [place[layer] for layer in block if layer in place]
        if columns:
            axes.axvspan(min(columns) - 0.5, max(columns) + 0.5, color=_GO, alpha=0.16, linewidth=0,
                         label="residual block removed" if number == 0 else None)
    if summary["blocks"]:
        axes.legend(loc="upper left")
    shown = x[:: -(-len(x) // 30)] if len(x) else x
    axes.set_xticks(shown, [str(widths[number]["layer"]) for number in shown])
    axes.set_xlim(-0.7, len(widths) - 0.3)
    axes.grid(False, axis="x")


def _costs(axes: Axes, facts: Mapping[str, Any]) -> None:
    """What is left of each cost, as a share of before, with the numbers beside it."""
    from matplotlib.ticker import PercentFormatter

    plain_axes(axes, "what is left")
    rows = [(title.split(" (")[0], show(before), show(after), after / before) for key, title, show in ROWS
            if (before := facts["before"].get(key)) and (after := facts["after"].get(key)) is not None]
    y = np.arange(len(rows))[::-1]
    axes.barh(y, [1.0] * len(rows), color=_PALE, height=0.6)
    axes.barh(y, [min(1.0, share) for *_, share in rows], color=_STAY, height=0.6)
    for at, (_, before, after, _) in zip(y, rows, strict=True):
        axes.text(1.02, at, f"{before} → {after}", va="center", fontsize=10)
    axes.set_yticks(y, [title for title, *_ in rows])
    axes.set_xlim(0, 1.5)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(False, axis="y")


def _gammas(axes: Axes, gammas: Mapping[str, Any]) -> None:
    plain_axes(axes, "channels that could go, by |gamma| before the cut", x="|gamma|")
    edges, kept, removed = (np.asarray(gammas[key], dtype=float) for key in ("edges", "kept", "removed"))
    axes.stairs(removed + kept, edges, fill=True, color=_GO, label="removed")
    axes.stairs(kept, edges, fill=True, color=_STAY, label="kept")
    if gammas["threshold"] is not None:
        axes.axvline(max(gammas["threshold"], edges[0]), color=INK, linewidth=1.2, linestyle="--",
                     label=f"threshold: {gammas['threshold']:.4g}")
    axes.set_xscale("log")
    axes.minorticks_off()
    ticks = logarithmic_ticks(edges[0], edges[-1])
    axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
    axes.set_yscale("symlog", linthresh=10)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 60 * max(10.0, float((kept + removed).max(initial=0))))  # room for the legend
    axes.legend(loc="upper left", ncols=3, frameon=True, facecolor="white", framealpha=1, edgecolor="none")


def _curves(figure: Figure, facts: Mapping[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter

    curves = swept_curves(facts)
    for axes, curve in zip(np.atleast_1d(figure.subplots(1, len(curves))), curves, strict=True):
        plain_axes(axes, curve.title, x=facts["sweep"]["flag"])
        axes.plot(*zip(*curve.points, strict=True), marker="o", color=_STAY)
        if curve.uncut is not None:
            axes.axhline(curve.uncut, color=QUIET, linewidth=1, linestyle="--", label="uncut")
        if curve.written:
            axes.plot(*([value] for value in curve.written), marker="o", markersize=11, markerfacecolor="none",
                      markeredgecolor=_GO, markeredgewidth=2.2, linestyle="none", label="written")
        axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _, show=curve.show: short(value, show)))
        axes.legend(loc="lower left")
