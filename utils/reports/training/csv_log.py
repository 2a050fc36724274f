"""results.csv: one row per epoch, whole after every epoch, and the same after an interruption as without one."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from utils.atomic import write_text
from utils.errors import DataError, OutputError, SourceLine

if TYPE_CHECKING:
    from utils.training.events import EpochReport

Row = Mapping[str, float | None]
"""An epoch as values by column; None where nothing was measured."""

LOSS = "train/"  # before the name of each part of the loss
TEACHER, RAW, RATIO = "kd_", "_raw", "_ratio"  # before and behind the name of what a teacher adds: utils.distillation.Soft
METRICS = ("precision", "recall", "f1", "map50", "map")
SHARES = ("share_1e2", "share_1e3", "prunable_share", "largest_share_limit")  # of utils.sparsity.SparsityGauge
SPEED = ("images_per_second", "memory_mb", "seconds")  # what differs between two runs of the same training
_BEFORE, _AFTER = ("epoch", "lr", "s"), (*METRICS, *SHARES, *SPEED)


class ResultsCsv:
    """Writes results.csv: epoch (from 0), lr, s, train/<part of the loss> ..., metrics, shares, speed.

    Each row is on its way to the disk when `add` returns. A part of the loss that appears later gets a column, empty
    for the epochs before. Numbers have six digits that count; what was not measured is an empty cell.

    Args:
        path: the file; its folder is there already.
        first_epoch: the first that will be added. An interrupted training goes on with the one it was in: earlier rows
            stay, later ones are made again. 0 begins a new file.

    Raises:
        OutputError: the file cannot be written.
        DataError: there is a file to go on with, and it is not one of ours.
    """

    def __init__(self, path: str | Path, *, first_epoch: int = 0) -> None:
        self.path = Path(path)
        rows = read_results(self.path) if first_epoch > 0 and self.path.exists() else []
        self._rows: list[Row] = [row for row in rows if _epoch(row) < first_epoch]
        self._parts = _parts_of(self._rows)
        self._file: TextIO | None = None
        self._write_all()

    def add(self, report: EpochReport) -> None:
        """Append the row of an epoch; a row of the same epoch, and those after it, are replaced.

        Raises:
            OutputError: the disk is full, or the folder is gone.
        """
        row = row_of(report)
        kept = [old for old in self._rows if _epoch(old) < report.epoch]
        parts = _parts_of([*kept, row])
        appends = len(kept) == len(self._rows) and parts == self._parts
        self._rows, self._parts = [*kept, row], parts
        if not appends:
            self._write_all()
            return
        try:
            if self._file is None:
                self._file = self.path.open("a", encoding="utf-8", newline="")
            self._file.write(_text([row], self._columns))
            self._file.flush()
        except OSError as error:
            with suppress(OSError):  # what is left in the buffer has no place either
                self.close()
            raise OutputError(self.path, f"cannot be written ({error.strerror})",
                              "free some space or choose another folder") from error

    def close(self) -> None:
        """Close the file; `add` would open it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def __enter__(self) -> ResultsCsv:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*_BEFORE, *self._parts, *_AFTER)

    def _write_all(self) -> None:
        self.close()
        write_text(self.path, _text([{name: name for name in self._columns}, *self._rows], self._columns))


def read_results(path: str | Path) -> list[dict[str, float | None]]:
    """The rows of a results.csv, in its order; epoch is an int, an empty cell None.

    A last line without its end, from a process that was killed while writing, is left out.

    Raises:
        DataError: no such file, or not one of ours.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", "name the results.csv of a training") from error
    except UnicodeDecodeError as error:
        raise DataError(path, "is not text", "name the results.csv of a training") from error
    lines = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))
    if not lines:
        return []
    header = lines[0]
    if "epoch" not in header:
        raise DataError(SourceLine(str(path), 1), "has no column epoch", "name the results.csv of a training")
    return [_parsed(path, number, header, cells) for number, cells in enumerate(lines[1:], start=2)]


def row_of(report: EpochReport) -> dict[str, float | None]:
    """An epoch's report as a row of results.csv."""
    metrics, shares = report.metrics or {}, report.sparsity or {}
    return {"epoch": report.epoch, "lr": report.lr, "s": report.s,
            **{f"{LOSS}{name}": value for name, value in report.losses.items()},
            **{name: metrics.get(name) for name in METRICS},
            **{name: shares.get(name) for name in SHARES},
            **{name: getattr(report, name) for name in SPEED}}


def _epoch(row: Row) -> int:
    return int(row["epoch"] or 0)


def _parts_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """The columns of the loss that have a value somewhere, in order of appearance."""
    return tuple(dict.fromkeys(name for row in rows for name, value in row.items()
                               if name.startswith(LOSS) and value is not None))


def _text(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return written.getvalue()


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _parsed(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> dict[str, float | None]:
    try:
        row = {name: float(cell) if cell else None for name, cell in zip(header, cells, strict=True)}
        row["epoch"] = int(cast(float, row["epoch"]))
    except (ValueError, TypeError, OverflowError):
        raise DataError(SourceLine(str(path), line), f"is not a row of {len(header)} numbers, as its header says",
                        "take that line out, or begin a new run") from None
    return row
