"""A pruning as one HTML page that needs no network: style, charts and pictures lie inside it, and no script does.

Weighed: `html.escape` and string building would do without a package, but one forgotten call lets a file name or a class
name write into the page. jinja2 escapes everything by default, keeps the page readable as a page, and comes with torch.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.deploy.optional import optional_module
from utils.reports import units
from utils.reports.pruning.charts import curve_chart, gamma_chart, width_chart
from utils.reports.pruning.curves import swept_curves
from utils.reports.pruning.pictures import SideBySide
from utils.reports.pruning.tables import ROWS, SWEPT, change, knee_sentence

_HERE = Path(__file__).parent


def pruning_page(facts: Mapping[str, Any], pictures: Sequence[SideBySide] = ()) -> str:
    """The page as text.

    Args:
        facts: what the pruning command writes as JSON, as plain values.
        pictures: detections before and after.

    Raises:
        EngineError: jinja2 is not installed.
    """
    jinja2 = optional_module("jinja2", "jinja2")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"percent": units.percent, "short": _short, "file_name": lambda path: Path(path).name,
                            "words": lambda line: map(shlex.quote, shlex.split(line))}
    summary, sweep = facts["summary"], facts["sweep"]
    return environment.get_template("page.html").render(
        facts=facts,
        style=jinja2.utils.markupsafe.Markup((_HERE / "page.css").read_text(encoding="utf-8")),
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
