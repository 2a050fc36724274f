"""The figures of a network that reports show: under which key they come, what they are called, how they are printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from utils.reports import units

Show = Callable[[float | None], str]


@dataclass(frozen=True)
class Figure:
    """title: where there is room. short: at the head of a column."""

    title: str
    short: str
    show: Show


FIGURES: Mapping[str, Figure] = {
    "map50": Figure("mAP@0.5", "mAP@0.5", units.score),
    "map": Figure("mAP@0.5:0.95 (COCO)", "mAP@.5:.95", units.score),
    "f1": Figure("F1", "F1", units.score),
    "agreement": Figure("agreement with the original", "agreement", units.score),
    "missed": Figure("missed at the heads", "missed at heads", units.percent),
    "channels": Figure("channels that can be pruned", "channels", units.count),
    "parameters": Figure("parameters", "parameters", units.count),
    "gflops": Figure("GFLOPs (2 per multiply-add)", "GFLOPs", units.gflops),
    "file_bytes": Figure(".weights file", ".weights", units.file_size),
    "latency_ms": Figure("latency, median", "latency", units.milliseconds),
    "latency_p95_ms": Figure("latency, p95", "p95", units.milliseconds),
}


def rows(*keys: str) -> tuple[tuple[str, str, Show], ...]:
    """(key, title, show) of these figures."""
    return tuple((key, FIGURES[key].title, FIGURES[key].show) for key in keys)


def columns(*keys: str) -> tuple[tuple[str, str, Show], ...]:
    """(key, short title, show) of these figures."""
    return tuple((key, FIGURES[key].short, FIGURES[key].show) for key in keys)
