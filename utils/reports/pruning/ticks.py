"""Where the ticks of a chart's axes lie, and what is written there."""

from __future__ import annotations

import math
from collections.abc import Callable


def short(value: float, show: Callable[[float | None], str]) -> str:
    """A figure as `show` says it, with only the digits that a reader needs."""
    text = "0" if value == 0 else show(value)
    number, _, unit = text.partition(" ")
    if "." in number:
        number = f"{float(number):.3g}"
    return f"{number} {unit}".strip()


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from low to high, and what lies between them where there are not three."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values: list[float] = []
    for factors in ((1,), (1, 2, 5), range(1, 10)):
        values = [value for power in powers for factor in factors if low <= (value := factor * 10.0**power) <= high]
        if len(values) > 2:
            break
    return values


def whole_ticks(most: int) -> list[int]:
    """Round numbers from 0 up, the last of them at least `most`."""
    rough = max(1.0, most / 4)
    power = 10 ** math.floor(math.log10(rough))
    step = max(1, int(next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)))
    return [step * number for number in range(max(1, math.ceil(most / step)) + 1)]
