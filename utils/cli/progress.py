"""A progress bar where somebody looks at one; now and then a plain line where nobody does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

Advance = Callable[..., None]

PATIENCE_S = 2.0        # work shorter than this shows no bar
SECONDS_PER_LINE = 15.0  # without a terminal: one line as often as this


@contextmanager
def progress_bar(description: str, total: int | None, *, unit: str = "image", quiet: bool = False,
             stream: TextIO | None = None) -> Iterator[Advance]:
    """Show how far some work is, on stderr; yields `advance(n)`, to be called when n more units are done.

    `advance(n, note)` shows a few words behind the bar, too.

    On a terminal this is a bar that appears after two seconds and goes away when done (without colour where NO_COLOR
    is set). Elsewhere, as in a log file, it is a line every 15 seconds: `evaluating: 120 of 500 images, 24 %`.
    """
    stream = sys.stderr if stream is None else stream
    if quiet:
        yield lambda n=1, note="": None
    elif stream.isatty():
        from tqdm import tqdm

        with tqdm(total=total, desc=description, unit=unit, delay=PATIENCE_S, leave=False, dynamic_ncols=True,
                  file=stream, colour=None if os.environ.get("NO_COLOR") else "green") as bar:
            def advance(n: int = 1, note: str = "") -> None:
                if note:
                    bar.set_postfix_str(note, refresh=False)
                bar.update(n)

            yield advance
    else:
        yield _Lines(description, total, unit, stream).advance


class _Lines:
    """Progress for log files."""

    def __init__(self, description: str, total: int | None, unit: str, stream: TextIO) -> None:
        self.description, self.total, self.unit, self.stream = description, total, unit, stream
        self.done = 0
        self.last = time.monotonic()

    def advance(self, n: int = 1, note: str = "") -> None:
        self.done += n
        now = time.monotonic()
        if now - self.last < SECONDS_PER_LINE:
            return
        self.last = now
        units = f"{self.unit}es" if self.unit.endswith("ch") else f"{self.unit}s"
        share = f" of {self.total} {units}, {100 * self.done // self.total} %" if self.total else f" {units}"
        self.stream.write(f"{self.description}: {self.done}{share}{', ' if note else ''}{note}\n")
        self.stream.flush()
