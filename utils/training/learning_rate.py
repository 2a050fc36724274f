"""The learning rate as a function of the optimiser step alone, so that a resumed training goes on exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from utils.errors import OptionError

Schedule = Literal["step", "cosine", "linear"]

_LITERAL_EPOCHS = 6  # of the ancestor's warm-up
_START = 1e-6  # its first rate, and ours


@dataclass(frozen=True, slots=True)
class LearningRate:
    """A warm-up, and then a fall from lr0.

    With t = step / (epochs * steps_per_epoch), the share of the run that is done, and W the steps of the warm-up,

        step:    lr0, times `factor` for each milestone <= t
        cosine:  lr0 * (final + (1 - final) * (1 + cos(pi t)) / 2)
        linear:  lr0 * (1 - (1 - final) * t)
        warm-up: never more than 1e-6 + (lr0 - 1e-6) * step / W

    kind: how it falls. final: what is left of lr0 at the end of cosine and linear.
    milestones, factor: of "step"; the ancestor's are 0.7 and 0.9, a tenth each.
    warmup_epochs: None is 2 epochs, or a tenth of all if that is less.
    literal_warmup: the ancestor's formula to the letter, to replay an old recipe: 1e-6 + (lr0 - 1e-6) * step / (2 epochs)
    in the first six epochs, which passes lr0 after two and reaches three times lr0; and milestones at the first whole
    epoch that is greater than milestone * epochs.

    Raises:
        OptionError: a number that makes no sense.
    """

    lr0: float
    kind: Schedule = "step"
    epochs: int = 1
    steps_per_epoch: int = 1
    final: float = 0.1
    milestones: tuple[float, ...] = (0.7, 0.9)
    factor: float = 0.1
    warmup_epochs: float | None = None
    literal_warmup: bool = False

    def __post_init__(self) -> None:
        checks = (
            ("--lr0", self.lr0, 0 < self.lr0 < math.inf, "write a number above 0, such as 0.002"),
            ("--schedule", self.kind, self.kind in ("step", "cosine", "linear"), "choose step, cosine or linear"),
            ("--epochs", self.epochs, self.epochs >= 1, "write 1 or more"),
            ("--accumulate", self.steps_per_epoch, self.steps_per_epoch >= 1, "an epoch needs one optimiser step at least"),
            ("--final-lr", self.final, 0 <= self.final <= 1, "write a share of --lr0, from 0 to 1"),
            ("milestones", self.milestones, all(0 <= m <= 1 for m in self.milestones), "write shares of --epochs"),
            ("milestone factor", self.factor, 0 <= self.factor < math.inf, "write 0.1 for a tenth"),
            ("--warmup-epochs", self.warmup_epochs, self.warmup_epochs is None or 0 <= self.warmup_epochs < math.inf,
             "write 0 or more"),
        )
        for where, value, is_good, remedy in checks:
            if not is_good:
                raise OptionError(where, f"{value} cannot be used", remedy)
        if self.literal_warmup and self.warmup_epochs is not None:
            raise OptionError("--literal-warmup", "has a fixed length of 6 epochs", "leave out --warmup-epochs")

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    @property
    def warmup(self) -> int:
        """Optimiser steps until the warm-up is over."""
        if self.literal_warmup:
            return min(_LITERAL_EPOCHS, self.epochs) * self.steps_per_epoch
        epochs = min(2.0, 0.1 * self.epochs) if self.warmup_epochs is None else self.warmup_epochs
        return round(epochs * self.steps_per_epoch)

    def at(self, step: int) -> float:
        """The rate of optimiser step `step`, counted from 0 over the whole run; at its end and beyond it stays."""
        if self.literal_warmup and step < self.warmup:
            return _START + (self.lr0 - _START) * step / (2 * self.steps_per_epoch)
        fallen = self._fallen(step)
        if self.literal_warmup or step >= self.warmup:
            return fallen
        start = min(_START, self.lr0)
        return min(fallen, start + (self.lr0 - start) * step / self.warmup)

    def _fallen(self, step: int) -> float:
        done = min(1.0, step / self.steps)
        if self.kind == "cosine":
            return self.lr0 * (self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2)
        if self.kind == "linear":
            return self.lr0 * (1 - (1 - self.final) * done)
        return self.lr0 * self.factor ** sum(self._has_passed(milestone, step) for milestone in self.milestones)

    def _has_passed(self, milestone: float, step: int) -> bool:
        if self.literal_warmup:
            return min(step, self.steps - 1) // self.steps_per_epoch > milestone * self.epochs
        return step >= milestone * self.steps - 1e-6  # 0.7 * 10 may be a little more than 7
