"""Tables of a pruning: the network before and after, width by width, the ratios asked and reached, and a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from utils.reports import figures, units
from utils.reports.tables import bar, table

ROWS = figures.rows("map50", "map", "channels", "parameters", "gflops", "file_bytes", "latency_ms", "latency_p95_ms")
"""Of a network before and after: key in the dicts, title, how to print it."""

SWEPT = figures.columns("map50", "map", "agreement", "missed", "parameters", "gflops", "file_bytes", "latency_ms")
"""Of each cut of a sweep, likewise."""


def before_after_table(before: Mapping[str, float | None], after: Mapping[str, float | None], *,
                       width: int | None = None) -> str:
    """One row per cost that both networks were measured by, with the change in per cent.

    Args:
        before, after: any of `map50`, `map`, `channels`, `parameters`, `gflops`, `file_bytes`, `latency_ms`,
            `latency_p95_ms`. A key that is in neither has no row; other keys get a row of their own, as they are.
    """
    titles = {key: (title, show) for key, title, show in ROWS}
    keys = [key for key in titles if before.get(key) is not None or after.get(key) is not None]
    keys += [key for key in {**before, **after} if key not in titles]
    rows = []
    for key in keys:
        title, show = titles.get(key, (key, _as_it_is))
        rows.append((title, show(before.get(key)), show(after.get(key)), change(key, before.get(key), after.get(key))))
    return table(rows, ("", "before", "after", "change"), "<>>>", width=width)


def ratios_table(asked: Mapping[str, float | None], reached: Mapping[str, float | None], *,
                 width: int | None = None) -> str:
    """The shares removed: of channels, parameters, operations, bytes. What was not asked for has an empty cell.

    Args:
        asked, reached: share removed, in [0, 1], under the same names, such as `channels` or `parameters`.
    """
    rows = [(name, units.percent(asked.get(name)), units.percent(reached.get(name)))
            for name in {**asked, **reached}]
    return table(rows, ("removed", "asked", "reached"), "<>>", width=width)


def widths_table(layers: Sequence[tuple[int, str, int, int]], *, width: int | None = None, bar_width: int = 24) -> str:
    """Per layer: the width before and after, and how much of it is left, as a bar.

    Args:
        layers: (layer index, kind, filters before, filters after).
    """
    rows = [(index, kind, before, after, units.percent(after / before, 0), bar(after / before, bar_width))
            for index, kind, before, after in layers]
    return table(rows, ("layer", "kind", "before", "after", "left", ""), "><>>><", width=width)


def sweep_table(sweep: Mapping[str, Any], *, width: int | None = None) -> str:
    """One row per cut of a sweep, the uncut network first; figures that nobody measured have no column.

    Args:
        sweep: `flag`, the `uncut` network and the `points`, each with `value` and any of the keys of
            `before_after_table`.
    """
    points = [sweep["uncut"], *sweep["points"]]
    shown = [(key, title, show) for key, title, show in SWEPT if any(point.get(key) is not None for point in points)]
    rows = [("uncut" if point["value"] is None else f"{point['value']:g}", *(show(point.get(key)) for key, _, show in shown))
            for point in points]
    return table(rows, (sweep["flag"], *(title for _, title, _ in shown)), ">" * (1 + len(shown)), width=width)


def knee_sentence(sweep: Mapping[str, Any]) -> str:
    """Where a row of cuts begins to cost much. sweep: `flag`, and `knee` with `value`, `quality`, `limit` and `seen`."""
    knee = sweep["knee"]
    price = f"{knee['limit']:g} {knee['quality']} for each halving of the parameters"
    place = "uncut" if knee["value"] is None else f"{sweep['flag']} {knee['value']:g}"
    return f"the knee: {place}; beyond, it costs more than {price}" if knee["seen"] else \
        f"no knee up to {place}: it costs less than {price}"


def change(key: str, before: float | None, after: float | None) -> str:
    """A difference in points for scores, a relative one in per cent for costs; empty where one is not known."""
    if before is None or after is None or before != before or after != after:
        return ""
    if key.startswith("map"):
        return f"{after - before:+.4f}"
    return f"{100 * (after / before - 1):+.1f} %" if before else ""


def _as_it_is(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
