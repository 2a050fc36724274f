"""`--target 4x`, `0.25`, `params:1M`, `gflops:2.0`, `size:5MB`, `latency:30ms`: what a compressed network may cost."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass

_NUMBER = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)
_SUFFIXES: Mapping[str, Mapping[str, float]] = {
    "params": {"": 1, "k": 1e3, "m": 1e6},
    "gflops": {"": 1},
    "size": {"b": 1, "kb": 1e3, "mb": 1e6, "kib": 2**10, "mib": 2**20, "": 1},
    "latency": {"": 1, "ms": 1, "s": 1e3},
}
QUANTITIES = tuple(_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Target:
    """What one word asks for.

    quantity: params, gflops, size (of the .weights file, bytes) or latency (ms). most: in its unit; or, where `relative`, as
    a share of what the network has.
    """

    quantity: str
    most: float
    relative: bool

    def __str__(self) -> str:
        amount = f"{1 / self.most:.4g}x" if self.relative else f"{self.most:.6g}"
        return f"{self.quantity}:{amount}"


def target(text: str) -> Target:
    """argparse type: `4x` and `0.25` mean parameters; `gflops:4x` and the like make another quantity so much smaller."""
    quantity, colon, amount = text.rpartition(":") if ":" in text else ("params", "", text)
    if quantity not in _SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r} names no quantity that can be a target; write {', '.join(QUANTITIES)}, "
                                         "as in gflops:2.0")
    match = _NUMBER.fullmatch(amount.strip())
    if match is None or not 1e-30 < float(match[1]) < 1e30:
        raise argparse.ArgumentTypeError(f"{text!r} has no amount above 0; write 4x, 0.25, params:1M, gflops:2.0, size:5MB or "
                                         "latency:30ms")
    number, suffix = float(match[1]), match[2].lower()
    if suffix == "x":
        if number <= 1:
            raise argparse.ArgumentTypeError(f"{text} is not smaller; write for example 4x, for a quarter")
        return Target(quantity, 1 / number, True)
    if not colon:
        if suffix or number >= 1:
            raise argparse.ArgumentTypeError(f"{text} is neither a share below 1 nor a number of times; write 0.25 or 4x, or "
                                             "name the quantity, as in params:1M")
        return Target(quantity, number, True)
    if suffix not in _SUFFIXES[quantity]:
        known = ", ".join(sorted(filter(None, _SUFFIXES[quantity]))) or "none"
        raise argparse.ArgumentTypeError(f"{text}: '{match[2]}' is no unit of {quantity} (known: {known})")
    return Target(quantity, number * _SUFFIXES[quantity][suffix], False)
