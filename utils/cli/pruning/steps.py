"""`0.1:0.9:0.1` on the command line: the values that --sweep tries."""

from __future__ import annotations

import argparse
import math

from utils.errors import OptionError

_MOST = 200


def steps(text: str) -> tuple[float, ...]:
    """argparse type: A:B:STEP -> A, A + STEP, ... up to B, which is one of them where the steps meet it; ascending."""
    parts = text.split(":")
    try:
        first, last, step = map(float, parts)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not A:B:STEP; write 0.1:0.9:0.1") from None
    if not all(map(math.isfinite, (first, last, step))) or step <= 0 or first < 0 or last < first:
        raise argparse.ArgumentTypeError(f"{text} goes nowhere; write the smallest value, the largest and a step above 0, "
                                         "as 0.1:0.9:0.1")
    count = math.floor((last - first) / step + 1e-6) + 1
    if count > _MOST:
        raise argparse.ArgumentTypeError(f"{text} are {count} values; write a larger step, for {_MOST} at most")
    return tuple(round(first + number * step, 9) for number in range(count))


def steps_like(values: tuple[float, ...], asked: float, flag: str) -> list[float]:
    """The values as the flag takes them, whose own value is `asked`: whole numbers, or shares in [0, 1).

    Raises:
        OptionError: some cannot be.
    """
    if isinstance(asked, int):
        if any(value != int(value) for value in values):
            raise OptionError("--sweep", f"{flag} takes whole numbers", "write for example 2:16:2")
        return [int(value) for value in values]
    if values[-1] >= 1:
        raise OptionError("--sweep", f"{flag} takes shares below 1, not {values[-1]:g}", "write for example 0.1:0.9:0.1")
    return list(values)
