"""The charts of a pruning's page as geometry: where bars, lines and ticks lie in an SVG of a given size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from utils.reports import units

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
    ticks, top = _whole_ticks(most)
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
        gammas: `edges` (n + 1), `kept` and `removed` (n), `smallest_kept`, `largest_removed`.
    """
    edges, kept, removed = gammas["edges"], gammas["kept"], gammas["removed"]
    counts = [one + two for one, two in zip(kept, removed, strict=True)]
    first = next((number for number, count in enumerate(counts) if count), 0)
    first = max(0, first - 1)
    width, height = 720.0, 240.0
    room, across = height - _TOP - _BOTTOM, width - _LEFT - _RIGHT
    low, high = math.log10(edges[first]), math.log10(edges[-1])
    top = max(1, math.ceil(math.log10(1 + max(counts, default=1)) - 1e-9))

    def x_of(value: float) -> float:
        return _LEFT + across * (min(max(math.log10(max(value, edges[first])), low), high) - low) / max(1e-9, high - low)

    bars = []
    for number in range(first, len(counts)):
        if counts[number]:
            start, end = x_of(edges[number]), x_of(edges[number + 1])
            whole = room * math.log10(1 + counts[number]) / top
            bars.append(Bar(start + 0.5, max(1.0, end - start - 1), whole, whole * kept[number] / counts[number],
                            f"|gamma| {edges[number]:.2g} to {edges[number + 1]:.2g}: {removed[number]} go, "
                            f"{kept[number]} stay"))
    decades = [10.0**power for power in range(math.ceil(low - 1e-6), math.floor(high + 1e-6) + 1)]
    marks = []
    if gammas["largest_removed"] is not None:
        at = x_of(gammas["largest_removed"])
        marks.append(Tick(at, f"largest removed {gammas['largest_removed']:.3g}", "end" if at > _LEFT + 150 else "start"))
    if gammas["smallest_kept"] is not None:
        at = x_of(gammas["smallest_kept"])
        marks.append(Tick(at, f"smallest kept {gammas['smallest_kept']:.3g}", "start" if at < width - 150 else "end"))
    y_ticks = tuple(Tick(height - _BOTTOM - room * math.log10(1 + 10**power) / top, units.count(10**power))
                    for power in range(top + 1) if math.log10(1 + 10**power) <= top)
    return Chart("channels by |gamma|", width, height, tuple(Tick(x_of(value), f"{value:g}") for value in decades), y_ticks,
                 tuple(bars), marks=tuple(marks))


def curve_chart(title: str, show: Callable[[float | None], str], points: Sequence[tuple[float, float]],
                uncut: float | None, chosen: tuple[float, float] | None) -> Chart:
    """A figure against the share that was asked for; the uncut network's as a level, the cut that was written as a dot."""
    width, height = 360.0, 220.0
    room, across = height - _TOP - _BOTTOM, width - _LEFT - _RIGHT - 8
    xs = [x for x, _ in points] + ([chosen[0]] if chosen else [])
    ys = [y for _, y in points] + [y for y in (uncut, chosen and chosen[1]) if y is not None]
    low_x, high_x = min(xs), max(xs)
    top = 1.06 * max(ys) or 1.0

    def x_of(value: float) -> float:
        return _LEFT + 8 + (across * (value - low_x) / (high_x - low_x) if high_x > low_x else across / 2)

    def y_of(value: float) -> float:
        return height - _BOTTOM - room * max(0.0, value) / top

    every = max(1, math.ceil(len(points) / 6))
    x_ticks = tuple(Tick(x_of(x), f"{x:g}") for x, _ in points[::every])
    steps = [top / 1.06 * part for part in (0, 0.5, 1)]
    return Chart(title, width, height, x_ticks, tuple(Tick(y_of(y), _short(y, show)) for y in steps),
                 line=tuple((x_of(x), y_of(y), f"{x:g}: {show(y)}") for x, y in points),
                 level=None if uncut is None else y_of(uncut),
                 dot=(x_of(chosen[0]), y_of(chosen[1]), f"written, {chosen[0]:g}: {show(chosen[1])}") if chosen else None)


def _short(value: float, show: Callable[[float | None], str]) -> str:
    """A tick's text: the unit is said in the title, so only digits that a reader needs."""
    text = "0" if value == 0 else show(value)
    number, _, unit = text.partition(" ")
    if "." in number and len(number) > 4:
        number = f"{float(number):.3g}"
    return f"{number} {unit}".strip()


def _whole_ticks(most: int) -> tuple[list[int], int]:
    """Round numbers from 0 up to at least `most`, and the last of them."""
    rough = max(1.0, most / 4)
    power = 10 ** math.floor(math.log10(rough))
    step = max(1, int(next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)))
    count = math.ceil(most / step)
    return [step * number for number in range(count + 1)], step * count
