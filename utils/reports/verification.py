"""Whether other engines compute the same: one row per engine and head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.reports.tables import table


def verification_table(report: Mapping[str, Any], *, width: int | None = None) -> str:
    """The largest differences at what each head reads.

    "same epsilon" is what the verdict is about; "as deployed" is what users of that engine see, whose batch norms may
    have another epsilon. Both are shares of the head's range. Why an engine could not run is said in full below the
    table, one line per engine.

    Args:
        report: `utils.deploy.VerificationReport.to_dict()`.
    """
    rows: list[tuple[object, ...]] = []
    for verdict in report["engines"]:
        rows += [(verdict["title"], verdict["status"], head["layer"], f"{head['value_range']:.4g}",
                  f"{head['max_abs']:.1e}", f"{head['relative']:.1e}", f"{head['own_relative']:.1e}")
                 for head in verdict["heads"]]
        if not verdict["heads"]:
            rows.append((verdict["title"], verdict["status"], *[""] * 5))
    headers = ("engine", "verdict", "head", "range", "difference", "same epsilon", "as deployed")
    reasons = [f"{verdict['title']}: {verdict['reason']}" for verdict in report["engines"] if verdict["reason"]]
    return "\n".join([table(rows, headers, "<<>>>>>", width=width), *reasons])
