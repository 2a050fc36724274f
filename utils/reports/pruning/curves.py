"""The figures of a sweep as curves, for the page and for the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from utils.reports.pruning.tables import SWEPT

_SHOWN = ("map50", "agreement", "gflops", "parameters", "latency_ms")


@dataclass(frozen=True)
class Curve:
    """One figure against what was asked for.

    show: a figure as text. points: (asked, figure), in ascending order. uncut: the network's before, and written: the
    point of the cut that was written; None where they are not known.
    """

    title: str
    show: Callable[[float | None], str]
    points: tuple[tuple[float, float], ...]
    uncut: float | None
    written: tuple[float, float] | None


def swept_curves(facts: Mapping[str, Any]) -> tuple[Curve, ...]:
    """One curve per figure that the sweep measured; none without a sweep.

    Args:
        facts: what the pruning command writes as JSON, as plain values.
    """
    sweep = facts["sweep"]
    if not sweep:
        return ()
    curves = []
    for key, title, show in SWEPT:
        points = tuple((point["value"], point[key]) for point in sweep["points"] if point.get(key) is not None)
        if key in _SHOWN and points:
            written = dict(points).get(sweep["chosen"], facts["after"].get(key))  # a point of the sweep lies on its curve
            known = sweep["chosen"] is not None and written is not None
            curves.append(Curve(title, show, points, sweep["uncut"].get(key), (sweep["chosen"], written) if known else None))
    return tuple(curves)
