"""Several networks side by side, one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from utils.reports import units
from utils.reports.figures import columns
from utils.reports.tables import table, terminal_width

Value = float | str | None
Figures = Mapping[str, Value]
"""Of a network: any of `map50`, `map`, `f1`, `parameters`, `gflops` (two operations per multiply-add), `file_bytes`,
`ENGINE_ms`: the latency in an engine, and `verified`: the status of a `utils.deploy.VerificationReport`."""

_COLUMNS = columns("map50", "map", "f1", "parameters", "gflops", "file_bytes")
_LATENCY = "_ms"
_LEAST = ("f1", "map")  # what a narrow terminal does not get to see, in this order
_VERDICTS = {"verified": "yes", "differs": "NO", "not verified": "no engine"}


def comparison_table(rows: Mapping[str, Figures], *, width: int | None = None) -> str:
    """A table of networks.

    Args:
        rows: figures by name. A figure that no network has makes no column.
        width: in characters; by default that of the terminal. Where it is not enough, F1 and COCO's mAP stay away.
    """
    width = terminal_width() if width is None else width
    titles, cells = comparison_cells(rows)
    for left_out in range(len(_LEAST)):
        if _widest(cells, titles) <= width:
            break
        titles, cells = comparison_cells(rows, without=_LEAST[:left_out + 1])
    return table(cells, titles, "<" + ">" * (len(titles) - 1), width=width)


def comparison_cells(rows: Mapping[str, Figures], without: tuple[str, ...] = ()) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The titles and the rows of the table as text; the first column holds the names."""
    known = {key for figures in rows.values() for key, value in figures.items() if value is not None}
    shown: list[tuple[str, str, Callable]] = [column for column in _COLUMNS if column[0] in known - set(without)]
    engines = dict.fromkeys(key for figures in rows.values() for key in figures if key.endswith(_LATENCY) and key in known)
    shown += [(key, key.removesuffix(_LATENCY), units.milliseconds) for key in engines]
    shown += [("verified", "verified", lambda status: _VERDICTS.get(status, ""))] if "verified" in known else []
    return (("", *(title for _, title, _ in shown)),
            [(name, *(show(figures.get(key)) for key, _, show in shown)) for name, figures in rows.items()])


def _widest(cells: list[tuple[str, ...]], titles: tuple[str, ...]) -> int:
    return max(map(len, table(cells, titles, width=10_000).splitlines()))
