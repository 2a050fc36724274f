"""Several networks side by side, one row each."""

from __future__ import annotations

from collections.abc import Mapping

from utils.reports import units
from utils.reports.figures import columns
from utils.reports.tables import table

_COLUMNS = columns("map50", "map", "f1", "parameters", "gflops", "file_bytes")
_LATENCY = "_ms"


def comparison_table(rows: Mapping[str, Mapping[str, float | None]], *, width: int | None = None) -> str:
    """A table of networks.

    Args:
        rows: by name, any of `map50`, `map`, `f1`, `parameters`, `gflops` (two operations per multiply-add),
            `file_bytes`, and `ENGINE_ms`: the latency in an engine. A figure that no network has makes no column.
    """
    known = {key for figures in rows.values() for key, value in figures.items() if value is not None}
    shown = [column for column in _COLUMNS if column[0] in known]
    engines = dict.fromkeys(key for figures in rows.values() for key in figures if key.endswith(_LATENCY) and key in known)
    shown += [(key, key.removesuffix(_LATENCY), units.milliseconds) for key in engines]
    cells = [(name, *(show(figures.get(key)) for key, _, show in shown)) for name, figures in rows.items()]
    return table(cells, ("", *(title for _, title, _ in shown)), "<" + ">" * len(shown), width=width)
