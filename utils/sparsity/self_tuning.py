"""The strength s found while training: a closed loop from the drift of the gammas, with a guard on the loss.

One number is watched: the gamma below which the target share of all gammas lies. It shall be below 0.01 at a planned
moment, 60 % into the run. After each epoch s is corrected by how far that gamma fell and how far it still has to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from utils.errors import OptionError
from utils.sparsity.drift import strength_for
from utils.sparsity.gauge import SMALL

_SAMPLES = 256  # of the learning rate, over a stretch of the run
_LEAST, _MOST = 1e-3, 100.0  # s stays between these multiples of the first one
_LATE = 2.0  # times the largest s until the planned moment: as far as s may go after it
_RELAX = 0.7  # times s per epoch, once the target is reached
_RISEN = 0.8  # times SMALL: where the watched gamma is about to come back
_NOTHING = 1e-30  # as a sum of learning rates
_SATURATED = 0.7  # share of Adam's largest possible drift from which more s gives no more drift


class SelfTuningStrength:
    """Finds s.

    The first s is the one that would bring the watched gamma to 0 in time if nothing opposed it: gamma * (1 - m) over
    the sum of the learning rates until then. After each epoch:

    - SGD: what opposed the fall, as a gradient, is s less the gradient that the measured fall tells of; the new s
      is that plus what the rest of the way needs. (That s acts with a lag of 1 / (1 - m) steps is reckoned with.)
    - Adam, whose drift does not grow in proportion to s: s times the root of needed over measured drift; no rise near
      the largest drift that Adam has.
    - In one epoch s changes by no more than 0.5 to 2 times. The loss lowers the upper bound, in a straight line: 2
      where it is the lowest so far, 1 where it is `loss_guard` above; beyond, or where it is no number, s is halved.
    - Once the watched gamma is below 0.01, s falls, by 0.7 times per epoch, to a tenth of what it took to get there, so
      that the gammas stay and the rest recovers. Should the watched gamma rise again, s goes back to where it did not,
      and stays there.

    If the planned moment passes, the end of the run takes its place, but s does not grow to more than twice of what it
    was before. A target that the loss does not allow is not reached: the guard goes first. Nor is one that no s reaches:
    too few steps, or an Adam whose learning rate is too low.

    Args:
        target: share of the gammas that shall end below 0.01, in (0, 1).
        epochs, steps_per_epoch: of the run, in optimiser steps.
        learning_rate: optimiser step to learning rate, over the whole run.
        momentum: of SGD.
        reach_by: share of the run after which the target shall be reached.
        loss_guard: how far the smoothed loss may rise, relative to its reference. inf: no guard.
        baseline_loss: mean task loss of an epoch before the sparsity training, if it is known. The reference is the
            lowest smoothed loss so far, this one included.
        hold: share of s that stays once the target is reached.
        smoothing: weight of the losses of earlier epochs.

    Raises:
        OptionError: an argument out of its range.
    """

    def __init__(self, target: float, epochs: int, steps_per_epoch: int, *, learning_rate: Callable[[int], float],
                 momentum: float = 0.0, reach_by: float = 0.6, loss_guard: float = 0.25,
                 baseline_loss: float | None = None, hold: float = 0.1, smoothing: float = 0.5) -> None:
        _check(target, epochs, steps_per_epoch, momentum, reach_by, loss_guard)
        self.target, self.epochs, self.steps_per_epoch = target, epochs, steps_per_epoch
        self._learning_rate, self._momentum = learning_rate, momentum
        self._planned = max(1, round(reach_by * epochs * steps_per_epoch))
        self._loss_guard, self._hold, self._smoothing = loss_guard, hold, smoothing
        self._s = self._first = self._pressing = 0.0
        self._largest = 0.0  # s until the planned moment
        self._enough = 0.0  # s below which the watched gamma rose again
        self._arriving = 0.0  # s as the momentum passes it on by now
        self._watched: float | None = None
        self._loss: float | None = None
        self._reference = math.inf if baseline_loss is None else baseline_loss
        self._reached = False

    @property
    def s(self) -> float:
        """The strength for the epoch that is running or comes next; 0 before `start`."""
        return self._s

    @property
    def reached(self) -> bool:
        """Whether the target has been reached and s only holds what there is."""
        return self._reached

    def watched(self, gammas: np.ndarray) -> float:
        """The smallest value such that the target share of the gammas is not above it."""
        index = max(0, math.ceil(self.target * len(gammas) - 1e-9) - 1)
        return float(np.partition(np.abs(gammas), index)[index])

    def start(self, gammas: np.ndarray, epoch: int = 0) -> float:
        """The s of the first epoch; later calls only give the s that there is.

        Raises:
            OptionError: the learning rate is 0 all the time.
        """
        if self._watched is None:
            self._watched = self.watched(gammas)
            left = self._lr_left(epoch * self.steps_per_epoch)
            if left <= _NOTHING:
                raise OptionError("--s", "auto cannot find a strength where the learning rate is 0",
                                  "give a learning rate above 0")
            self._s = self._first = self._pressing = strength_for(max(SMALL, self._watched), left, self._momentum)
        return self._s

    def update(self, epoch: int, gammas: np.ndarray, task_loss: float, lr: float, momentum: float, *,
               adaptive: bool = False) -> float:
        """The s of the next epoch.

        Args:
            epoch: the one that is done, counted from 0.
            gammas: |gamma| of all pressed channels, now.
            task_loss: mean of the epoch, without the sparsity term; the same number on all processes.
            lr: of the last step; the learning-rate function tells how it changes, this one how large it is.
            momentum: of SGD. adaptive: whether the optimiser is an Adam.
        """
        self.start(gammas, epoch)
        assert self._watched is not None  # since start()
        before, now = self._watched, self.watched(gammas)
        step = (epoch + 1) * self.steps_per_epoch
        most = self._loosest_change(task_loss)
        size = self._size(step - 1, lr)
        passed = size * self._lr_sum(step - self.steps_per_epoch, step)
        arrived = self._pass_on(momentum)
        if not math.isfinite(now):  # diverged; whoever trains will stop or go back
            self._s = max(0.5 * self._s, _LEAST * self._first)
            return self._s
        self._watched = now
        fell_back = self._reached and now >= 2 * SMALL
        self._reached = not fell_back and (self._reached or now < SMALL)
        if fell_back or (self._reached and now > _RISEN * SMALL):
            self._enough = max(self._enough, min(self._s / _RELAX, self._pressing))
        if self._reached:
            wanted = max(_RELAX * self._s, self._hold * self._pressing)
        elif passed <= 0.05 * size * self._lr_sum(step, step + self.steps_per_epoch):
            wanted = self._s  # the warm-up was too gentle to tell anything
        else:
            measured, needed = (before - now) / passed, now / (size * self._lr_left(step))
            wanted = (self._adaptive(measured, needed) if adaptive
                      else (needed - measured) * (1 - momentum) + arrived)
        wanted = min(max(wanted, self._enough), self._limit(step))
        changed = min(max(wanted, 0.5 * self._s), most * self._s)
        self._s = max(changed, _LEAST * self._first)
        if not self._reached:
            self._pressing = self._s
        return self._s

    def state_dict(self) -> dict[str, Any]:
        """What an exact resume needs, as plain values."""
        return {"s": self._s, "first": self._first, "pressing": self._pressing, "largest": self._largest,
                "enough": self._enough, "arriving": self._arriving, "watched": self._watched,
                "loss": self._loss, "reference": self._reference, "reached": self._reached}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._s, self._first, self._pressing = state["s"], state["first"], state["pressing"]
        self._largest, self._enough, self._arriving = state["largest"], state["enough"], state["arriving"]
        self._watched, self._loss = state["watched"], state["loss"]
        self._reference, self._reached = state["reference"], state["reached"]

    def _loosest_change(self, loss: float) -> float:
        """By what s may be multiplied at most, from the smoothed loss: 0.5, or 1 to 2."""
        if not math.isfinite(loss):
            return 0.5
        weight = self._smoothing if self._loss is not None else 0.0
        self._loss = weight * (self._loss or 0.0) + (1 - weight) * loss
        self._reference = min(self._reference, self._loss)
        if math.isinf(self._loss_guard):
            return 2.0
        room = self._reference + self._loss_guard * abs(self._reference) - self._loss
        if room < 0:
            return 0.5
        return 1 + min(1.0, room / max(self._loss_guard * abs(self._reference), 1e-12))

    def _limit(self, step: int) -> float:
        """How large s may become; late in a run the learning rate falls and only absurd values would still move much."""
        if step <= self._planned:
            self._largest = max(self._largest, self._s)
            return _MOST * self._first
        return max(_LATE * self._largest, self._first)

    def _adaptive(self, measured: float, needed: float) -> float:
        """The s that gives Adam the needed drift; both drifts per unit of learning rate, so at most 1."""
        if measured >= _SATURATED and needed > measured:
            return self._s
        return self._s * (math.sqrt(needed / measured) if measured > 0 else 2.0)

    def _pass_on(self, momentum: float) -> float:
        """The mean s that reached the gammas in the epoch, and the s that does so at its end (momentum is a low-pass)."""
        rest, steps = momentum ** self.steps_per_epoch, self.steps_per_epoch
        lag = self._arriving - self._s
        self._arriving = self._s + lag * rest
        return self._s + lag * momentum * (1 - rest) / ((1 - momentum) * steps)

    def _size(self, step: int, lr: float) -> float:
        """How large the learning rate really is, as a factor of what the function says."""
        said = self._learning_rate(step)
        return lr / said if said > 0 and math.isfinite(lr) and lr > 0 else 1.0

    def _lr_left(self, step: int) -> float:
        """The learning rates from a step to the planned moment added up, or else to the end; at least one epoch's worth."""
        total = self.epochs * self.steps_per_epoch
        end = self._planned if step < self._planned else total
        least = self._lr_sum(step - self.steps_per_epoch, step) if step > 0 else 0.0
        return max(self._lr_sum(step, end), min(least, self._lr_sum(0, total)), _NOTHING)

    def _lr_sum(self, first: int, last: int) -> float:
        """The learning rates of steps first to last - 1 added up; from samples where there are many."""
        count = last - first
        if count <= 0:
            return 0.0
        if count <= _SAMPLES:
            return sum(self._learning_rate(step) for step in range(first, last))
        return sum(self._learning_rate(first + int((i + 0.5) * count / _SAMPLES))
                   for i in range(_SAMPLES)) * count / _SAMPLES


def _check(target: float, epochs: int, steps_per_epoch: int, momentum: float, reach_by: float,
           loss_guard: float) -> None:
    if not 0 < target < 1:
        raise OptionError("--target-sparsity", f"{target} is no share of the gammas", "give for example 0.7")
    for name, count in (("--epochs", epochs), ("steps per epoch", steps_per_epoch)):
        if count < 1:
            raise OptionError(name, f"{count} leaves no time to press anything", "give 1 or more")
    if not 0 <= momentum < 1:
        raise OptionError("momentum", f"{momentum} is out of range", "give 0 to below 1")
    if not 0 < reach_by <= 1:
        raise OptionError("reach_by", f"{reach_by} is no share of the run", "give for example 0.6")
    if not loss_guard > 0:
        raise OptionError("loss_guard", f"{loss_guard} is out of range", "give more than 0, for example 0.25")
