"""Plain text tables for a console or a log file: aligned numbers, no wider than the terminal.

Weighed: `tabulate` aligns well but does not fit a table to a width (its `maxcolwidths` wraps cells into several
lines); `rich` does, but brings two packages and its own way to print. Both cost more than these few lines.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Sequence

_NUMBER = re.compile(r"[-+±]?[\d.,\s]+([eE][-+]?\d+)?\s*(%|ms|s|[kMGT]?i?B|[kMGTB]|x|px)?$")
_GAP = "  "
_LEAST = 6  # columns are not cut below this


def table(
    rows: Sequence[Sequence[object]],
    headers: Sequence[str],
    align: str | None = None,
    *,
    width: int | None = None,
) -> str:
    """Lay rows out in columns.

    Args:
        rows: one sequence of cells each, as long as `headers`; None is an empty cell.
        headers: the column titles.
        align: one letter per column, `<` or `>`; by default columns of numbers go right and all others left.
        width: in characters; by default that of the terminal. Text columns are shortened with an ellipsis until the
            table fits; numbers never are, so a table of numbers alone may come out wider.

    Returns:
        Lines without trailing blanks, joined by line ends, without a final one.

    Raises:
        ValueError: a row has another length than `headers`.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    for row in cells:
        if len(row) != len(headers):
            raise ValueError(f"a row has {len(row)} cells, the table has {len(headers)} columns: {row}")
    columns = [[row[i] for row in cells] for i in range(len(headers))]
    numeric = [any(column) and all(not cell or _NUMBER.match(cell) for cell in column) for column in columns]
    align = align or "".join(">" if is_number else "<" for is_number in numeric)
    widths = [max(_cells(text) for text in (header, *column))
              for header, column in zip(headers, columns, strict=True)]
    room = (terminal_width() if width is None else width) - len(_GAP) * (len(headers) - 1)
    while sum(widths) > room:
        widest = max((i for i in range(len(widths)) if not numeric[i] and widths[i] > _LEAST),
                     key=widths.__getitem__, default=None)
        if widest is None:
            break
        widths[widest] -= 1
    lines = [headers, ["─" * w for w in widths], *cells]
    return "\n".join(
        _GAP.join(_pad(text, w, side) for text, w, side in zip(line, widths, align, strict=True)).rstrip()
        for line in lines
    )


def terminal_width() -> int:
    """Characters per line: of the terminal, or COLUMNS, or 100 where there is neither (a log file)."""
    return shutil.get_terminal_size((100, 24)).columns


def bar(share: float, width: int = 20) -> str:
    """A horizontal bar of `width` characters, filled up to `share` in [0, 1], in eighths of a character."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width, "·")


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return " ".join(str(cell).split())


def _cells(text: str) -> int:
    """How many character cells a terminal uses: East Asian wide characters take two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, side: str) -> str:
    if _cells(text) > width:
        while text and _cells(text) > width - 1:
            text = text[:-1]
        text += "…"
    space = " " * (width - _cells(text))
    return space + text if side == ">" else text + space
