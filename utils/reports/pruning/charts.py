"""The charts of a pruning's page as geometry: where bars, lines and ticks lie in an SVG of a given size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from utils.reports import units
from utils.reports.pruning.curves import Curve
from utils.reports.pruning.ticks import logarithmic_ticks, short, whole_ticks

_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 22, 30


@dataclass(frozen=True)
class Tick:
    """A place on an axis, in pixels, and what is written there; anchor: which end of the text is at that place."""

    at: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Bar:
    """Two heights of one column: `whole` as a pale bar, `part` as a solid one in it; title: shown when pointed at."""

    x: float
    width: float
    whole: float
    part: float
    title: str


@dataclass(frozen=True)
class Band:
    """A stretch along x, with what it stands for."""

    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Chart:
    """Something with axes. width, height, and the rectangle left, top, right, bottom inside the axes: pixels.

    bars stand on `bottom`. line: points of a curve. marks: vertical lines. level: height of a horizontal one. dot: a single point.
    """

    title: str
    width: float
    height: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    bands: tuple[Band, ...] = ()
    line: tuple[tuple[float, float, str], ...] = ()
    marks: tuple[Tick, ...] = ()
    level: float | None = None
    dot: tuple[float, float, str] | None = None
    left: float = _LEFT
    top: float = _TOP

    @property
    def right(self) -> float:
        return self.width - _RIGHT

    @property
    def bottom(self) -> float:
        return self.height - _BOTTOM


def width_chart(widths: Sequence[Mapping[str, int]], blocks: Sequence[Sequence[int]]) -> Chart:
    """One column per convolution in the network's order: its channels before, and in it those after.

    Args:
        widths: `layer`, `before` and `after` of each convolution. blocks: the layers of each removed residual block.
    """
    slot = min(40.0, max(9.0, 976 / max(1, len(widths))))
    width, height = _LEFT + _RIGHT + slot * len(widths), 260.0
    most = max((max(row["before"], row["after"]) for row in widths), default=1)
    ticks = whole_ticks(most)
    top = ticks[-1]
    room = height - _TOP - _BOTTOM
    place = {row["layer"]: _LEFT + slot * number for number, row in enumerate(widths)}
    bars = tuple(Bar(place[row["layer"]] + 0.1 * slot, 0.8 * slot, room * row["before"] / top, room * row["after"] / top,
                     f"layer {row['layer']}: {row['before']} → {row['after']}") for row in widths)
    bands = []
    for block in blocks:
        columns = [place[layer] for layer in block if layer in place]
        if columns:
            bands.append(Band(min(columns), max(columns) - min(columns) + slot,
                              f"residual block of layer {block[-1]}: removed"))
    every = max(1, math.ceil(34 / slot))
    x_ticks = tuple(Tick(place[row["layer"]] + slot / 2, str(row["layer"]))
                    for number, row in enumerate(widths) if number % every == 0)
    y_ticks = tuple(Tick(height - _BOTTOM - room * value / top, str(value)) for value in ticks)
    return Chart("channels of each convolution", width, height, x_ticks, y_ticks, bars, tuple(bands))


def gamma_chart(gammas: Mapping[str, Any]) -> Chart:
    """A histogram of |gamma| on a logarithmic axis; heights are logarithms of counts, split in proportion.

    Args:
        gammas: `edges` (n + 1), `kept` and `removed` (n), and `threshold`, None where the strategy has none.
    """
    edges, kept, removed = gammas["edges"], gammas["kept"], gammas["removed"]
    counts = [one + two for one, two in zip(kept, removed, strict=True)]
    width, height = 720.0, 240.0
    room, across = height - _TOP - _BOTTOM, width - _LEFT - _RIGHT
    low, high = math.log10(edges[0]), math.log10(edges[-1])
    top = max(1, math.ceil(math.log10(1 + max(counts, default=1)) - 1e-9))

    def x_of(value: float) -> float:
        return _LEFT + across * (min(max(math.log10(max(value, edges[0])), low), high) - low) / (high - low)

    bars = []
    for number, count in enumerate(counts):
        if count:
            start, end = x_of(edges[number]), x_of(edges[number + 1])
            whole = room * math.log10(1 + count) / top
            bars.append(Bar(start + 0.5, max(1.0, end - start - 1), whole, whole * kept[number] / count,
                            f"|gamma| {edges[number]:.3g} to {edges[number + 1]:.3g}: {removed[number]} go, "
                            f"{kept[number]} stay"))
    marks = []
    if gammas["threshold"] is not None:
        at = x_of(gammas["threshold"])
        marks.append(Tick(at, f"threshold {gammas['threshold']:.4g}", "start" if at < width - 150 else "end"))
    x_ticks = tuple(Tick(x_of(value), f"{value:g}") for value in logarithmic_ticks(edges[0], edges[-1]))
    y_ticks = tuple(Tick(height - _BOTTOM - room * math.log10(1 + 10**power) / top, units.count(10**power))
                    for power in range(top + 1) if math.log10(1 + 10**power) <= top)
    return Chart("channels by |gamma|", width, height, x_ticks, y_ticks, tuple(bars),
                 marks=tuple(marks))


def curve_chart(curve: Curve) -> Chart:
    """A figure against what was asked for; the uncut network's as a level, the cut that was written as a dot."""
    points, show, uncut, written = curve.points, curve.show, curve.uncut, curve.written
    width, height = 360.0, 220.0
    room, across = height - _TOP - _BOTTOM, width - _LEFT - _RIGHT - 8
    xs = [x for x, _ in points] + ([written[0]] if written else [])
    most = max([y for _, y in points] + [y for y in (uncut, written and written[1]) if y is not None])
    low_x, high_x = min(xs), max(xs)
    top = 1.06 * most or 1.0

    def x_of(value: float) -> float:
        return _LEFT + 8 + (across * (value - low_x) / (high_x - low_x) if high_x > low_x else across / 2)

    def y_of(value: float) -> float:
        return height - _BOTTOM - room * max(0.0, value) / top

    every = max(1, math.ceil(len(points) / 6))
    return Chart(curve.title, width, height, tuple(Tick(x_of(x), f"{x:g}") for x, _ in points[::every]),
                 tuple(Tick(y_of(y), short(y, show)) for y in (0, top / 1.06 / 2, top / 1.06)),
                 line=tuple((x_of(x), y_of(y), f"{x:g}: {show(y)}") for x, y in points),
                 level=None if uncut is None else y_of(uncut),
                 dot=(x_of(written[0]), y_of(written[1]), f"written, {written[0]:g}: {show(written[1])}") if written else None)
