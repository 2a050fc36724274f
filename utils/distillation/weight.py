"""How much the teacher counts as a training goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from utils.errors import OptionError

Curve = Literal["constant", "linear", "cosine"]


@dataclass(frozen=True, slots=True)
class WeightSchedule:
    """A factor for each epoch.

    With x = (epoch - start) / (stop - 1 - start), the share of the way that is done,

        constant: 1
        linear:   1 - (1 - final) x
        cosine:   final + (1 - final) (1 + cos(pi x)) / 2

    and 0 before `start` and from `stop` on. It begins with 1 and ends, in epoch stop - 1, with `final`.

    start: first epoch in which the teacher counts, from 0. stop: the first in which it does not any more; None: the end.

    Raises:
        OptionError: a number that makes no sense.
    """

    curve: Curve = "constant"
    final: float = 0.1
    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        if self.curve not in ("constant", "linear", "cosine"):
            raise OptionError("--distill-schedule", f"there is no {self.curve!r}", "choose constant, linear or cosine")
        if not 0 <= self.final <= 1:
            raise OptionError("--distill-final", f"{self.final} is no share of the weight", "write 0 to 1")
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise OptionError("--distill-stop", f"the teacher would count from epoch {self.start} to {self.stop}, so never",
                              "stop after the start")

    def at(self, epoch: int, epochs: int) -> float:
        """The factor in an epoch, from 0, of a training of so many."""
        stop = epochs if self.stop is None else min(self.stop, epochs)
        if not self.start <= epoch < stop:
            return 0.0
        done = (epoch - self.start) / max(1, stop - 1 - self.start)
        if self.curve == "linear":
            return 1 - (1 - self.final) * done
        if self.curve == "cosine":
            return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2
        return 1.0
