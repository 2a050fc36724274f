"""A training in a console: one line per epoch, and at the end the best epoch beside the last."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from utils.reports import units
from utils.reports.tables import table
from utils.reports.training.csv_log import LOSS, METRICS, RATIO, RAW, TEACHER, Row, row_of

if TYPE_CHECKING:
    from utils.training.events import EpochReport

WIDTH = 120  # no line is wider
_CELL = 7
_SCORES = (("P", "precision"), ("R", "recall"), ("mAP50", "map50"), ("mAP", "map"))
_SHARES = (("<.01", "share_1e2"), ("<.001", "share_1e3"), ("cut", "largest_share_limit"))
_TITLES = {"map50": "mAP@0.5", "map": "mAP@0.5:0.95 (COCO)", "precision": "P", "recall": "R", "f1": "F1",
           "share_1e2": "|gamma| < 0.01", "share_1e3": "|gamma| < 0.001", "largest_share_limit": "slim pruning can cut"}
_Cells = list[tuple[str, str, int]]  # title, value, width


def epoch_header(report: EpochReport) -> str:
    """The titles over the lines of `epoch_line`.

    Args:
        report: of any epoch of this training; which columns there are depends on the loss and on whether it has an s.
    """
    return " ".join(f"{title:>{width}}" for title, _, width in _cells(report))


def epoch_line(report: EpochReport) -> str:
    """An epoch in one line of at most 120 characters.

    Epoch, means of the loss (the total, and as many parts as fit), learning rate; with sparsity training s, the shares
    of gammas under 0.01 and 0.001 and the largest share that slim pruning can cut, in per cent; precision, recall,
    mAP@0.5, COCO's mAP; images/s. `-` is what was not measured. An asterisk marks the best mAP@0.5 so far, `skipped 3`
    how many steps were left out because of Inf or NaN.
    """
    marks = (" *" if report.is_best else "") + (f" skipped {report.skipped_steps}" if report.skipped_steps else "")
    return (" ".join(f"{value:>{width}}" for _, value, width in _cells(report)) + marks).rstrip()


def losses_line(losses: Mapping[str, float]) -> str:
    """The parts of a loss in a progress bar: `box 0.8 obj 1.1 total 5.6 soft 3.1 cwd 0.74 (raw 1.18, 0.32 of detection)`.

    What a teacher adds is told part by part: weighted, and behind it its raw value and its ratio to the detection loss.
    """
    words = [f"{name} {value:.3g}" for name, value in losses.items() if not name.startswith(TEACHER)]
    for name, value in losses.items():
        if name.startswith(TEACHER) and not name.endswith((RAW, RATIO)):
            raw, ratio = losses[name + RAW], losses[name + RATIO]
            words.append(f"{name.removeprefix(TEACHER)} {value:.2g} (raw {raw:.3g}, {ratio:.2g} of detection)")
    return " ".join(words)


def final_table(reports: Sequence[EpochReport | Row], *, width: int | None = None) -> str:
    """What the best epoch (by mAP@0.5, the first of equals) and the last one reached, side by side.

    Args:
        reports: of all epochs, or the rows of `read_results`; at least one.

    Raises:
        ValueError: no epochs.
    """
    if not reports:
        raise ValueError("there are no epochs to sum up")
    rows: list[Row] = [report if isinstance(report, Mapping) else row_of(report) for report in reports]
    last = rows[-1]
    best = max(rows, key=lambda row: _known(row.get("map50"), -math.inf))
    columns = [(f"last (epoch {_number(last)})", last)]
    if best is not last and _known(best.get("map50"), -math.inf) > -math.inf:
        columns.insert(0, (f"best (epoch {_number(best)})", best))
    lines = [(_TITLES[name], *(units.score(row.get(name)) for _, row in columns)) for name in METRICS]
    losses = dict.fromkeys(name for row in rows for name in row if name.startswith(LOSS))
    lines += [(_loss_title(name.removeprefix(LOSS)), *(_short(row.get(name)) for _, row in columns)) for name in losses]
    lines += [(_TITLES[name], *(units.percent(row.get(name)) for _, row in columns)) for _, name in _SHARES]
    shown = [line for line in lines if any(line[1:])]
    return table(shown, ("", *(title for title, _ in columns)), "<" + ">" * len(columns), width=width)


def _cells(report: EpochReport) -> _Cells:
    metrics, shares = report.metrics or {}, report.sparsity or {}
    total = str(report.epochs)
    start: _Cells = [("epoch", f"{report.epoch + 1}/{total}", max(5, 2 * len(total) + 1))]
    rest: _Cells = [("lr", f"{report.lr:.2g}", _CELL)]
    if report.s is not None:
        rest.append(("s", f"{report.s:.2g}", _CELL))
        rest += [(title, _percent(shares.get(name)), 5) for title, name in _SHARES]
    rest += [(title, _score(metrics.get(name)), 5) for title, name in _SCORES]
    rest.append(("img/s", _short(report.images_per_second), _CELL))
    room = WIDTH - len(" * skipped 99") - sum(width + 1 for *_, width in (*start, *rest))
    names = [name for name in report.losses if not name.startswith(TEACHER)]
    while len(names) > 1 and len(names) * (_CELL + 1) > room:
        names.pop(-2 if names[-1] == "total" else -1)
    losses: _Cells = [(name if len(name) <= _CELL else f"{name[:_CELL - 1]}…", _short(report.losses[name]), _CELL)
                      for name in names]
    return [*start, *losses, *rest]


def _loss_title(name: str) -> str:
    """How the closing table names a part of the loss."""
    if name == "rratio":
        return "boxes worse than the teacher's"
    if not name.startswith(TEACHER):
        return f"loss, {name}"
    part = name.removeprefix(TEACHER)
    for ending, words in ((RAW, "before its weight"), (RATIO, "over the detection loss")):
        if part.endswith(ending):
            return f"teacher, {part.removesuffix(ending)} {words}"
    return f"teacher, {part}"


def _number(row: Row) -> int:
    return int(row["epoch"] or 0) + 1


def _known(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or math.isnan(value) else value


def _score(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _percent(share: float | None) -> str:
    return "-" if share is None or math.isnan(share) else f"{100 * share:.1f}"


def _short(value: float | None) -> str:
    """Four digits that count, in at most seven characters."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    if value and not 1e-3 <= abs(value) < 1e5:
        text = f"{value:.1e}"
        return text if len(text) <= _CELL else f"{value:.0e}"
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 3
    return f"{value:.{min(digits, 4)}f}"
