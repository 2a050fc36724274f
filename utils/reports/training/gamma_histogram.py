"""Pictures of batch-norm gammas: how they move towards zero over the epochs, and layer by layer before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.reports.training.figure import INK, QUIET, figure_to_file, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALL, TINY = 1e-2, 1e-3
_BINS = 120
_LOWEST = 1e-5  # of the logarithmic axes; what is smaller is counted there
_MAP = "YlGnBu"  # pale is few


def draw_gamma_history(history: Sequence[tuple[str, np.ndarray]], path: str | Path) -> None:
    """Draw |gamma| over a training, 1200 pixels wide, PNG.

    Left, one histogram above the other, the first at the top: heights are logarithms of counts, on one scale for all,
    so that a tall spike at 0 does not hide the tail that has to survive. Right, which share of the gammas lies below a
    value.

    Args:
        history: per moment a label, such as `epoch 3`, and the gammas of all layers, any shape; values that are not
            finite are left out. A dozen is legible.
        path: the file; written whole or not at all.

    Raises:
        ValueError: nothing to draw.
        EngineError: matplotlib is not installed. OutputError: the file cannot be written.
    """
    kept = [(label, values) for label, gammas in history if (values := _finite(gammas)).size]
    if not kept:
        raise ValueError("there are no gammas to draw")
    with figure_to_file(path, 1200, min(1600, max(520, 180 + 58 * len(kept)))) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        colours = _shades(len(kept))
        _ridges(left, kept, colours)
        _cumulative(right, kept, colours)


def draw_layer_gammas(before: Mapping[int, np.ndarray], after: Mapping[int, np.ndarray], path: str | Path) -> None:
    """Draw |gamma| layer by layer before and after a training, as two maps under each other, 1200 pixels wide, PNG.

    Each column is a layer, each cell a range of |gamma| on a logarithmic axis, its colour the share of the layer's
    channels in that range. A dash marks the largest gamma of a layer: the lowest dash limits how far one threshold for
    all layers can go before a layer empties.

    Args:
        before, after: the gammas of each layer by its index; layers may lack in either.

    Raises:
        ValueError, EngineError, OutputError: as in `draw_gamma_history`.
    """
    layers = sorted(set(before) | set(after))
    sides = [(title, {layer: values for layer in layers if (values := _finite(side.get(layer, np.zeros(0)))).size})
             for title, side in (("before", before), ("after", after))]
    if not any(side for _, side in sides):
        raise ValueError("there are no gammas to draw")
    top = max(values.max() for _, side in sides for values in side.values())
    edges = np.geomspace(_LOWEST, max(2.0, 1.1 * top), 33)
    with figure_to_file(path, 1200, 900) as figure:
        panels = figure.subplots(2, 1, sharex=True)
        for axes, (title, side) in zip(panels, sides, strict=True):
            _layer_map(axes, f"|gamma| of each layer, {title}", layers, side, edges)
        panels[-1].set_xlabel("layer")
        mesh = panels[0].collections[0]
        bar = figure.colorbar(mesh, ax=list(panels), fraction=0.025, pad=0.015)
        bar.set_label("share of the layer's channels", color=QUIET)
        outline: Any = bar.outline  # no two versions of matplotlib give it the same type
        outline.set_visible(False)


# -- over the epochs --------------------------------------------------------------------------------------------------


def _ridges(axes: Axes, kept: Sequence[tuple[str, np.ndarray]], colours: Sequence[tuple[float, ...]]) -> None:
    plain_axes(axes, "gammas by size (log of the count)", x="|gamma|")
    end = 1.05 * max(max(float(np.quantile(values, 0.9995)) for _, values in kept), SMALL)
    edges = np.linspace(0, end, _BINS + 1)
    heights = [np.log10(1 + np.histogram(np.minimum(values, end), edges)[0]) for _, values in kept]
    unit = 0.94 / max(float(height.max()) for height in heights)
    rows = range(len(kept) - 1, -1, -1)  # from above
    for base, height, colour in zip(rows, heights, colours, strict=True):
        axes.stairs(base + unit * height, edges, baseline=base, fill=True, color=colour)
        axes.axhline(base, color=colour, linewidth=0.8)
    axes.set_yticks(rows, [label for label, _ in kept])
    small = axes.twinx()
    small.set_yticks(rows, [f"{100 * np.mean(values < SMALL):.0f} %" for _, values in kept])
    small.text(1.012, 1.0, f"< {SMALL:g}", transform=small.transAxes, va="bottom", fontsize=10, color=QUIET)
    for side in (axes, small):
        side.tick_params(axis="y", length=0, labelcolor=INK, pad=6)
        side.spines[["left", "right", "top"]].set_visible(False)
        side.set_ylim(-0.04, len(kept))
    axes.grid(False, axis="y")
    axes.set_xlim(-0.008 * end, end)


def _cumulative(axes: Axes, kept: Sequence[tuple[str, np.ndarray]], colours: Sequence[tuple[float, ...]]) -> None:
    from matplotlib.ticker import PercentFormatter

    plain_axes(axes, "share of gammas below a value", x="|gamma|, colours as on the left")
    top = max(2.0, max(float(values.max()) for _, values in kept))
    for (_, values), colour in zip(kept, colours, strict=True):
        ordered = np.sort(np.maximum(values, _LOWEST))
        chosen = np.unique(np.linspace(0, len(ordered) - 1, 800).round().astype(int))
        x = np.concatenate(([_LOWEST], ordered[chosen], [top]))
        y = np.concatenate(([0.0], (chosen + 1) / len(ordered), [1.0]))
        axes.step(x, y, where="post", color=colour)
    for value in (SMALL, TINY):
        axes.axvline(value, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(f"{value:g}", (value, 1.0), xytext=(4, 4), textcoords="offset points", fontsize=9, color=QUIET)
    axes.set_xscale("log")
    axes.set_xlim(_LOWEST, top)
    axes.set_ylim(0, 1.06)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _shades(count: int) -> list[tuple[float, ...]]:
    """From pale to dark, one per moment."""
    from matplotlib import colormaps

    return [colormaps[_MAP](value) for value in (np.linspace(0.35, 0.95, count) if count > 1 else [0.75])]


# -- layer by layer ---------------------------------------------------------------------------------------------------


def _layer_map(axes: Axes, title: str, layers: Sequence[int], side: Mapping[int, np.ndarray],
               edges: np.ndarray) -> None:
    from matplotlib.colors import PowerNorm

    plain_axes(axes, title, y="|gamma|")
    shares = np.full((len(edges) - 1, len(layers)), np.nan)
    for column, layer in enumerate(layers):
        if layer in side:
            values = np.clip(side[layer], edges[0], edges[-1])
            shares[:, column] = np.histogram(values, edges)[0] / len(values)
    shares[shares == 0] = np.nan  # the paper stays white where no gamma is
    axes.pcolormesh(np.arange(len(layers) + 1) - 0.5, edges, np.ma.masked_invalid(shares), cmap=_MAP,
                    norm=PowerNorm(0.5, 0, 1), shading="flat")
    columns = [column for column, layer in enumerate(layers) if layer in side]
    largest = [side[layers[column]].max() for column in columns]
    axes.hlines(np.maximum(largest, edges[0]), np.array(columns) - 0.45, np.array(columns) + 0.45, color="#d55e00",
                linewidth=2.2, label="largest of the layer")
    for value in (SMALL, TINY):
        axes.axhline(value, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_yscale("log")
    axes.set_ylim(edges[0], edges[-1])
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.grid(False)
    shown = range(0, len(layers), -(-len(layers) // 24))
    axes.set_xticks(shown, [str(layers[column]) for column in shown])
    if columns:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), borderaxespad=0.2)


def _finite(gammas: np.ndarray) -> np.ndarray:
    values = np.abs(np.asarray(gammas, np.float64)).ravel()
    return values[np.isfinite(values)]
