"""A pruning as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.reports import units
from utils.reports.html import html_page
from utils.reports.pruning.charts import curve_chart, gamma_chart, width_chart
from utils.reports.pruning.curves import swept_curves
from utils.reports.pruning.pictures import SideBySide
from utils.reports.pruning.tables import ROWS, SWEPT, change, knee_sentence


def pruning_page(facts: Mapping[str, Any], pictures: Sequence[SideBySide] = ()) -> str:
    """The page as text.

    Args:
        facts: what the pruning command writes as JSON, as plain values.
        pictures: detections before and after.

    Raises:
        EngineError: jinja2 is not installed.
    """
    summary, sweep = facts["summary"], facts["sweep"]
    return html_page(
        Path(__file__).with_name("page.html"),
        {"percent": units.percent, "short": _short, "file_name": lambda path: Path(path).name},
        facts=facts,
        costs=_costs(facts),
        shares=[(name, facts["asked"].get(name), reached) for name, reached in facts["reached"].items()],
        widths=width_chart(summary["widths"], summary["blocks"]),
        gone={layer for block in summary["blocks"] for layer in block},
        gammas=gamma_chart(facts["gammas"]) if any(facts["gammas"]["kept"] + facts["gammas"]["removed"]) else None,
        curves=[curve_chart(curve) for curve in swept_curves(facts)],
        swept=[(title, show, key) for key, title, show in SWEPT
               if sweep and any(point.get(key) is not None for point in sweep["points"])],
        knee=knee_sentence(sweep) if sweep and sweep["knee"] else None,
        pictures=pictures,
    )


def _costs(facts: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Title, before, after, change of everything that was measured."""
    before, after = facts["before"], facts["after"]
    return [(title, show(before.get(key)), show(after.get(key)), change(key, before.get(key), after.get(key)))
            for key, title, show in ROWS if before.get(key) is not None or after.get(key) is not None]


def _short(value: float | None) -> str:
    """A small number with two digits that matter."""
    return "" if value is None else f"{value:.1e}"
