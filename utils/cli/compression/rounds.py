"""The rounds of a compression: towards a target, or for as long as the mAP allows."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from utils.cli.compression.budget import Budget
from utils.cli.compression.judging import Judge
from utils.cli.compression.targets import Target
from utils.cli.progress import progress_bar
from utils.cli.pruning.measured_network import Measured, lost_map50
from utils.errors import TargetError

if TYPE_CHECKING:
    from utils.pruning import Limit
    from utils.training import Compressor, Round

_logger = logging.getLogger(__name__)

_MANY = 3         # rounds after which one cut is tried, too
_FACTOR = 1.5     # how much smaller each round is where no target is given
_REFINEMENTS = 2  # rounds between the last that was good enough and the first that was not

Judged = tuple["Round", Measured]


class Rounds:
    """Runs rounds and keeps what they gave. uncut: the original's figures. done: all rounds, in the order they were made."""

    def __init__(self, args: argparse.Namespace, compressor: Compressor, judge: Judge, uncut: Measured) -> None:
        self._args, self._compressor, self._judge, self.uncut = args, compressor, judge, uncut
        self.done: list[Judged] = []

    def towards(self, budget: Budget) -> Judged:
        """Through the schedule; the last round, the last before the network breaks, or the smallest within --max-drop.

        Where the rounds are left to us and many, one cut is tried, too: it has fewer repairs to build on each other's errors.

        Raises:
            TargetError: nothing reaches the target; or the first round already breaks the network, or loses more than
                --max-drop allows.
        """
        from utils.training import schedule

        self._compressor.check(budget.limits)
        steps = schedule(self._compressor.network, budget.limits, self._args.rounds)
        best, broken = self._through(steps, budget)
        if self._args.rounds is None and len(steps) >= _MANY:
            at_once = self._in_one_cut(steps[-1], budget)
            if at_once is not None:
                return at_once
        if broken is not None:
            return self._stopped(best, broken)
        return best or self._none_within()

    def _through(self, steps: Sequence[tuple[Limit, ...]], budget: Budget) -> tuple[Judged | None, Measured | None]:
        """The last round that was good enough, and the figures of one that broke the network."""
        best: Judged | None = None
        current = self._compressor.uncut
        for number, limits in enumerate(steps, start=1):
            if all(limit.excess(current.network) <= 1 for limit in limits):
                continue  # multiples and whole blocks can save more than a round was asked for
            current, point = self._round(current, limits, budget, f"round {number} of {len(steps)}")
            if self._breaks(point):
                return best, point
            if self._within_drop(point):
                best = current, point
        return best, None

    def _in_one_cut(self, limits: tuple[Limit, ...], budget: Budget) -> Judged | None:
        """From the original to the target, if that misses less at the heads than what the rounds brought there."""
        found, point = self._round(self._compressor.uncut, limits, budget, "in one cut")
        *rounds, _ = self.done
        there = [one for one, _ in rounds if all(limit.excess(one.network) <= 1 for limit in limits)]
        if self._breaks(point) or not self._within_drop(point) or any(one.residual <= found.residual for one in there):
            self.done = rounds
            return None
        self.done = [one for one in rounds if one[0] not in there] + [(found, point)]
        return found, point

    def until_dropped(self) -> Judged:
        """Smaller by a factor a round until --max-drop is exceeded, then a few sizes between; the smallest that was not.

        Raises:
            TargetError: not even the first round, or what lies before it, is within.
        """
        best: Judged = self._compressor.uncut, self.uncut
        low, factor = 1.0, _FACTOR
        while True:
            found = self._at(best[0], low * factor)
            if found is None or self._breaks(found[1]) or not self._within_drop(found[1]):
                break
            best, low = found, low * factor
        high = low * factor
        for _ in range(_REFINEMENTS):
            middle = (low * high) ** 0.5
            found = self._at(best[0], middle)
            if found is not None and not self._breaks(found[1]) and self._within_drop(found[1]):
                best, low = found, middle
            else:
                high = middle
        return best if best[0].heads else self._none_within()

    def _at(self, current: Round, times: float) -> Judged | None:
        """A network so many times smaller; None where there is none."""
        budget = Budget(self._args, self._compressor.network, [Target("params", 1 / times, True)])
        try:
            return self._round(current, budget.limits, budget, f"{times:.2f}x")
        except TargetError as error:
            _logger.info("%s", error)
            return None

    def _round(self, current: Round, limits: tuple[Limit, ...], budget: Budget, title: str) -> Judged:
        with progress_bar(title, self._compressor.layers(current), unit="layer", quiet=self._args.quiet) as advance:
            found = self._compressor.cut(current, limits, budget.units(current.network), advance)
        point = self._judge.judged(found, self._compressor.network)
        self.done.append((found, point))
        _logger.info("%s", told(title, found, point))
        return found, point

    def _within_drop(self, point: Measured) -> bool:
        allowed = self._args.max_drop
        return allowed is None or lost_map50(self.uncut, point) <= allowed + 1e-12

    def _breaks(self, point: Measured) -> bool:
        return point.agreement is not None and point.agreement < self._args.min_agreement

    def _stopped(self, best: Judged | None, point: Measured) -> Judged:
        said = (f"at {point.value:.2f}x fewer parameters the agreement with the original is {point.agreement:.3f}, below "
                f"--min-agreement {self._args.min_agreement:g}")
        if best is None:
            raise TargetError("--target", said, "ask for less, give more --calibration-images, train with sparsity first, or "
                              "say --min-agreement 0 and fine-tune; nothing was written")
        _logger.warning("stopped before the network breaks: %s; what is written is the round before", said)
        return best

    def _none_within(self) -> Judged:
        least = min(self.done, key=lambda one: lost_map50(self.uncut, one[1]), default=None)
        told_least = f": at {least[1].value:.2f}x it loses {lost_map50(self.uncut, least[1]):.4f}" if least else ""
        raise TargetError("--max-drop", f"no round loses at most {self._args.max_drop:g} mAP@0.5{told_least}",
                          "allow more, ask for less, or give more --calibration-images; nothing was written")


def told(title: str, found: Round, point: Measured) -> str:
    """A round in one line."""
    parts = [f"{title}: {point.value:.2f}x fewer parameters", f"misses {100 * found.residual:.2f} % at the heads"]
    if point.agreement is not None:
        parts.append(f"agreement {point.agreement:.3f}")
    if point.map50 is not None:
        parts.append(f"mAP@0.5 {point.map50:.4f}")
    if len(found.tried) > 1:
        tried = ", ".join(f"{name} {100 * missed:.2f} %" for name, missed in found.tried)
        parts.append(f"criterion {found.criterion} (tried: {tried})")
    return ", ".join(parts)


def in_order(rounds: list[Judged]) -> Iterator[Measured]:
    """The rounds' figures, the largest network first."""
    yield from (replace(point, value=round(times(point), 2)) for _, point in sorted(rounds, key=lambda one: times(one[1])))


def times(point: Measured) -> float:
    """How many times fewer parameters; 1 for the original."""
    return 1.0 if point.value is None else point.value
