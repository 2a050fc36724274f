"""The training loop: batches in, events out. It opens no file and prints nothing."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from models import Darknet
from utils.datasets import TrainingBatch, TrainingBatches
from utils.detection import DetectionLoss
from utils.distillation import Distillation
from utils.errors import BonsaiError, DataError
from utils.layers import channels_last
from utils.sparsity import Sparsity, SparsityGauge
from utils.training.distributed import Processes
from utils.training.ema import ModelEma
from utils.training.events import BatchReport, EpochReport, Event, Interrupted, LossMeans
from utils.training.learning_rate import LearningRate
from utils.training.memory import peak_memory_mb
from utils.training.objective import Objective
from utils.training.optimizer import set_train_mode
from utils.training.precision import Precision
from utils.training.progress import Progress

_logger = logging.getLogger(__name__)

Evaluate = Callable[[Darknet, Callable[[], bool]], Mapping[str, float]]
"""evaluate(model, stopping): precision, recall, f1, map50, map; may raise StopEvaluation where stopping() says so."""


class Diverged(BonsaiError):
    """A training whose loss is no number any more."""


class StopEvaluation(Exception):
    """Raised by an evaluation that was asked to end early; the training then stops as after a batch."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What a loop needs to know beside its parts.

    epochs: in all. accumulate: batches per optimiser step. clip: longest gradient, 0 is no limit. seed: of dropout and masks.
    evaluate_every: epochs between evaluations; 0 evaluates the last one only. patience: how many steps in a row may have
    a loss or a gradient that is no number before the training gives up (fp16 needs up to 16 to find its scale).
    """

    epochs: int
    accumulate: int = 1
    clip: float = 0.0
    seed: int = 0
    evaluate_every: int = 1
    patience: int = 20


class Trainer:
    """Trains a network, event by event.

    The result depends on the seeds and on how many optimiser steps were made, never on how many workers read images or
    on where the training was interrupted: every random choice is a function of seed, epoch and place in the epoch.

    Args:
        model: on its device, in float32.
        batches: what it sees.
        loss: what it should do.
        optimizer, learning_rate, precision, processes: see their files.
        ema: keeps the average that is evaluated and saved, or None to use the model itself.
        sparsity: presses gammas, or None.
        distillation: brings a teacher, or None; its student is this very model.
        frozen: layers that neither learn nor update their statistics.
        evaluate: how good a network is; called on all processes; None never evaluates.

    Attributes:
        progress: where the training is. objective: what it makes small.
    """

    def __init__(self, model: Darknet, batches: TrainingBatches, loss: DetectionLoss, options: TrainingOptions, *,
                 optimizer: torch.optim.Optimizer, learning_rate: LearningRate, precision: Precision,
                 processes: Processes, ema: ModelEma | None = None, sparsity: Sparsity | None = None,
                 distillation: Distillation | None = None, frozen: Sequence[int] = (), sync_bn: bool = False,
                 evaluate: Evaluate | None = None) -> None:
        self.model, self.batches, self.options = model, batches, options
        self.optimizer, self.learning_rate, self.precision = optimizer, learning_rate, precision
        self.processes, self.ema, self.sparsity, self.frozen = processes, ema, sparsity, tuple(frozen)
        self.evaluate, self.distillation = evaluate, distillation
        self.objective = Objective(loss, distillation, options.epochs)
        self.progress = Progress()
        self.device = next(model.parameters()).device
        trained = channels_last(self.objective.trained(model))  # on CPUs up to 1.5 times as fast, and what fp16 wants on CUDA
        self._replica: nn.Module = processes.wrap(trained, model, sync_bn=sync_bn, rests=self.objective.rests)
        adaptors = {id(p) for p in self.objective.adaptors}
        learning = [p for group in optimizer.param_groups for p in group["params"]]
        self._parameters = [p for p in learning if id(p) not in adaptors]
        self._adaptors = [p for p in learning if id(p) in adaptors]
        drops = any(layer.kind == "dropout" and layer.options.probability > 0 for layer in model.network.layers)
        self._draws = drops or self.objective.draws
        self._statistics = [*model.buffers()]  # of batch norms
        self._good_statistics = [buffer.clone() for buffer in self._statistics]
        self._stop_asked = False
        self._window_is_good = True

    @property
    def result(self) -> Darknet:
        """The network to evaluate and to save: the average where one is kept."""
        return self.model if self.ema is None else self.ema.model

    def stop(self) -> None:
        """Ask the training to end after the optimiser step at hand; `run` then yields Interrupted as its last event."""
        self._stop_asked = True

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop_asked

    def run(self) -> Iterator[Event]:
        """Train until the last epoch is done.

        Raises:
            Diverged: loss or gradient were no numbers in `patience` steps in a row.
            DataError: an image cannot be read and the data set is strict.
        """
        while self.progress.epoch < self.options.epochs:
            if self.sparsity is not None:
                self.sparsity.start_epoch(self.progress.epoch, self.options.epochs)
            started, done_before = time.perf_counter(), self.progress.losses.count
            for batch in self.batches.epoch(self.progress.epoch, self.progress.batch):
                yield self._train(batch)
                if self._at_step(batch.number) and self.processes.any(self._stop_asked):
                    yield self._interrupted()
                    return
            seconds = time.perf_counter() - started
            try:
                yield self._end_of_epoch(seconds, self.progress.losses.count - done_before)
            except StopEvaluation:
                yield self._interrupted()
                return

    def _interrupted(self) -> Interrupted:
        """The epoch's sums become the mean over processes: one state is saved, and all go on from it."""
        self.progress.losses.sums = self.processes.mean(self.progress.losses.sums)
        return Interrupted(self.progress.epoch, self.progress.batch)

    # -- one batch ----------------------------------------------------------------------------------------------------

    def _train(self, batch: TrainingBatch) -> BatchReport:
        """Forward, backward, and behind the last batch of a window the optimiser's step."""
        progress = self.progress
        if batch.number % self.options.accumulate == 0:
            self.optimizer.zero_grad(set_to_none=True)
            self._window_is_good = True
        set_train_mode(self.model, self.frozen)
        if self._draws:
            torch.manual_seed(_seed_of(self.options.seed, progress.epoch, batch.number, self.processes.rank))
        last = self._at_step(batch.number)
        with self.processes.no_sync(self._replica, last):
            values, targets = self._forward_backward(batch)
        if values is not None:
            progress.losses.add(values)
        if last:
            self._step()
        progress.batch = batch.number + 1
        progress.images += len(batch.indices) * self.processes.world
        return BatchReport(progress.epoch, batch.number, len(self.batches), progress.losses.means(),
                           self.optimizer.param_groups[0]["lr"], targets, batch.size,
                           len(batch.indices) * self.processes.world, peak_memory_mb(self.device))

    def _at_step(self, number: int) -> bool:
        """Whether the optimiser makes a step behind this batch."""
        return (number + 1) % self.options.accumulate == 0 or number + 1 == len(self.batches)

    def _forward_backward(self, batch: TrainingBatch) -> tuple[dict[str, float] | None, int]:
        """The parts of the loss, or None where it is no number (then there was no backward either)."""
        images = batch.images.to(self.device, non_blocking=True).float().div_(255)
        images = images.contiguous(memory_format=torch.channels_last)
        targets = batch.targets.to(self.device, non_blocking=True)
        _copy(self._statistics, self._good_statistics)
        found = self.objective(self._replica, images, targets, self.progress.epoch, pictures=batch.images,
                               autocast=self.precision.autocast)
        if not self.processes.all(bool(torch.isfinite(found.total.detach()))):
            _copy(self._good_statistics, self._statistics)  # Inf and NaN would never leave a running mean
            self._window_is_good = False
            return None, found.targets
        self.precision.backward(found.total * self._share(len(batch.indices)))
        values = dict(zip(found.told, torch.stack([value.detach() for value in found.told.values()]).tolist(), strict=True))
        if self.sparsity is not None:
            values["l1"] = self.sparsity.penalty()
        return values, found.targets

    def _share(self, images: int) -> float:
        """How much a batch's loss counts in its step.

        Means (the ancestor's loss) are added up over the batches of a step and over processes, as if each were a batch of
        its own; sums per image (Darknet's) become the mean over all images of a full step. Gradients of several processes
        are averaged by DistributedDataParallel, hence the factor.
        """
        if self.objective.loss.reduction == "mean":
            return float(self.processes.world)
        return images / (self.batches.batch_size * self.options.accumulate)

    def _step(self) -> None:
        """One step of the optimiser, unless the gradient of its window is no number."""
        progress = self.progress
        lr = self.learning_rate.at(progress.step)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        progress.step += 1
        if not self._window_is_good:
            self._skip()
            return
        self.precision.unscale(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self._parameters, self.options.clip or math.inf)
        if self._adaptors:  # by themselves: a long gradient of theirs shall not shorten the network's
            norm = norm + nn.utils.clip_grad_norm_(self._adaptors, self.options.clip or math.inf)
        if self.sparsity is not None:
            self.sparsity.before_step()
        done = self.precision.step(self.optimizer, finite=bool(torch.isfinite(norm)))
        self.precision.update()
        if not done:
            self._skip()
            return
        progress.bad_in_a_row = 0
        if self.sparsity is not None:
            self.sparsity.after_step(self.optimizer)
        if self.ema is not None:
            self.ema.update(self.model)

    def _skip(self) -> None:
        """Count a step that was left out; Diverged if there were too many in a row."""
        progress = self.progress
        progress.skipped_in_epoch += 1
        progress.bad_in_a_row += 1
        if progress.bad_in_a_row >= self.options.patience:
            raise Diverged(f"epoch {progress.epoch + 1}",
                           f"loss or gradient were no numbers in {self.options.patience} steps in a row",
                           "lower --lr0 or --s and go on from the last checkpoint, which is from before")

    # -- one epoch ----------------------------------------------------------------------------------------------------

    def _end_of_epoch(self, seconds: float, batches: int) -> EpochReport:
        progress = self.progress
        metrics = self._metrics()
        is_best = metrics is not None and metrics["map50"] > progress.best
        if metrics is not None and is_best:
            progress.best = metrics["map50"]
        losses = self.processes.mean(progress.losses.means() or self._no_losses())
        lr, momentum = self.optimizer.param_groups[0]["lr"], _momentum(self.optimizer)
        s, sparse = None, None
        if self.sparsity is not None:
            s, sparse = self.sparsity.strength, self._gauge(self.sparsity, losses.get("total", math.nan), lr, momentum)
            self.sparsity.end_epoch(progress.epoch, losses.get("total", math.nan), lr=lr, momentum=momentum)
        images = batches * self.batches.batch_size * self.processes.world
        report = EpochReport(progress.epoch, self.options.epochs, losses, lr, s, metrics,
                             None if sparse is None else _numbers(sparse),
                             (() if sparse is None else _remarks(sparse))
                             + self.objective.remarks(progress.epoch, losses), is_best,
                             progress.skipped_in_epoch, images / seconds if seconds else math.nan,
                             peak_memory_mb(self.device), seconds)
        progress.epoch, progress.batch = progress.epoch + 1, 0
        progress.losses, progress.skipped_in_epoch = LossMeans(), 0
        return report

    def _no_losses(self) -> dict[str, float]:
        """The parts of an epoch whose batches were all left out, so that tables keep their columns."""
        parts = (*self.objective.loss.part_names, "total", *(["l1"] if self.sparsity is not None else []))
        return dict.fromkeys(parts, math.nan)

    def _gauge(self, sparsity: Sparsity, loss: float, lr: float, momentum: float) -> SparsityGauge:
        """Of the network that is evaluated and saved: the same that will be pruned."""
        remaining = range(self.progress.step, self.steps_per_epoch * self.options.epochs)
        return sparsity.gauge(lr=lr, momentum=momentum, remaining_steps=len(remaining),
                                   lr_sum=sum(map(self.learning_rate.at, remaining)), loss=loss,
                                   of=None if self.ema is None else self.ema.model)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps per epoch."""
        return -(-len(self.batches) // self.options.accumulate)

    def _metrics(self) -> Mapping[str, float] | None:
        number = self.progress.epoch + 1
        every = self.options.evaluate_every
        due = number == self.options.epochs or (every > 0 and number % every == 0)
        if self.evaluate is None or not due:
            return None
        try:
            return self.evaluate(self.result, lambda: self._stop_asked)
        except DataError as error:  # an image broke since it was looked at; what was learned is worth more than a figure
            if self.processes.world > 1:
                raise  # the others wait for our share
            _logger.warning("epoch %d is not evaluated: %s", number, error)
            return None

    # -- going on later -----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that `load_state` needs to go on as if nothing had happened: tensors and plain values."""
        return {
            "progress": self.progress.to_dict(),
            "world": self.processes.world,
            "model": {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()},
            "optimizer": self.optimizer.state_dict(),
            "precision": self.precision.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "sparsity": None if self.sparsity is None else self.sparsity.state_dict(),
            "distillation": None if self.distillation is None else self.distillation.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, in a trainer that was built with the same options.

        With another number of processes that is logged: they cut the epochs into other batches.
        """
        if state.get("world", self.processes.world) != self.processes.world:
            _logger.warning("the checkpoint is of %d processes and %d go on, so the result is not that of an uninterrupted "
                            "run; --accumulate keeps the images per step", state["world"], self.processes.world)
        self.progress = Progress.of_dict(state["progress"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.load_state_dict(state["precision"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"] or {"updates": 0, "model": state["model"]})
        if self.sparsity is not None and state["sparsity"] is not None:
            self.sparsity.load_state_dict(state["sparsity"])
        if self.distillation is not None and state.get("distillation") is not None:
            self.distillation.load_state_dict(state["distillation"])


def _copy(source: list[torch.Tensor], target: list[torch.Tensor]) -> None:
    if source:
        torch._foreach_copy_(target, source)


def _seed_of(*parts: int) -> int:
    """One number out of several."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _momentum(optimizer: torch.optim.Optimizer) -> float:
    group = optimizer.param_groups[0]
    return group["momentum"] if "momentum" in group else group["betas"][0]


def _numbers(gauge: SparsityGauge) -> dict[str, float]:
    names = ("share_1e2", "share_1e3", "prunable_share", "largest_share_limit", "mean_gamma", "median_gamma")
    return {name: getattr(gauge, name) for name in names}


def _remarks(gauge: SparsityGauge) -> tuple[str, ...]:
    return gauge.line(), *(warning.text for warning in gauge.warnings)
