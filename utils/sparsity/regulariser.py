"""Presses batch-norm scales towards zero during training, so that pruning has something to cut.

Source: Network Slimming (ICCV 2017, https://arxiv.org/abs/1708.06519): the loss plus s * sum |gamma|. The term is never
part of the loss; its subgradient, or its proximal step, is applied once per optimiser step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models import Darknet
from utils.errors import BonsaiError, WeightsError
from utils.layers import ConvolutionalLayer
from utils.layers.normalisation import BatchNorm
from utils.sparsity.gauge import Push, SparsityGauge, gauge
from utils.sparsity.schedule import SparsityOptions, protected_channels, sparsity_scale
from utils.sparsity.selection import pressed_channels
from utils.sparsity.self_tuning import SelfTuningStrength


class Gammas(NamedTuple):
    """|gamma| of the pressed channels: `values` all of them, `layers` the same by layer; float32."""

    values: np.ndarray
    layers: dict[int, np.ndarray]


class Sparsity:
    """Presses the gammas of a model. Order of one optimiser step, with mixed precision and accumulation:

        precision.backward(loss)          # as often as gradients are accumulated
        precision.unscale(optimizer)      # the loss scale would divide s by itself
        clip_grad_norm_(...)              # the task's gradient, not ours
        sparsity.before_step()
        done = precision.step(optimizer)
        if done:
            sparsity.after_step(optimizer)

    Gammas and averaged gradients are equal on all processes, so each adds the same and they stay equal.

    step="subgradient": gradient += s * sign(gamma), sign(0) = 0; nothing is added where the gradient is None (frozen).
    step="proximal": after the optimiser's step gamma moves towards 0 by what the subgradient would have moved it in the
    long run, and stops at 0: by lr * s * (1 - dampening) / (1 - momentum) for SGD; by
    lr * s / (sqrt(v + s^2) + eps) for Adam, v its unbiased mean of squared gradients: never more than lr. Unlike the
    subgradient it needs no 1 / (1 - momentum) steps to come up to speed, and takes none to slow down. A gamma at exactly 0
    stays there unless the optimiser moves it further than that.

    Args:
        model: not its DistributedDataParallel wrapper.
        tuner: finds s by itself; then `options.s` and `options.kind` do not count.

    Raises:
        PlanError: the model has no gamma to press. BonsaiError: the model is fused.
    """

    def __init__(self, model: Darknet, options: SparsityOptions, tuner: SelfTuningStrength | None = None) -> None:
        if model.fused:
            raise BonsaiError(model.network.path, "a fused model has no batch-norm scales to press", "leave out fuse()")
        self.model, self.options, self.tuner = model, options, tuner
        self.channels = pressed_channels(model.network, options.prune)
        self._selected = {layer: torch.from_numpy(flags) for layer, flags in self.channels.items()}
        self._scales = {layer: flags.float() for layer, flags in self._selected.items()}
        self._strength = 0.0 if tuner is not None else options.s
        self._epoch = self._epochs = -1
        self._steps = 0
        self._mark: tuple[int, float] | None = None  # steps and median gamma at the start of the epoch
        self._best_loss = math.inf
        self._adaptive = False

    @property
    def strength(self) -> float:
        """s as it is applied now; channels that local decay protects feel decay_factor of it."""
        return self._strength

    @property
    def steps(self) -> int:
        """How many optimiser steps were pressed, over the whole training."""
        return self._steps

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set s for an epoch, counted from 0. Does nothing if it was begun already: before a checkpoint, say."""
        if (epoch, epochs) == (self._epoch, self._epochs):
            return
        self._epoch, self._epochs = epoch, epochs
        gammas = self.gammas()
        self._mark = (self._steps, float(np.median(gammas.values)))
        if self.tuner is not None:
            self._strength = self.tuner.start(gammas.values, epoch)
            return
        self._strength = self.options.s * sparsity_scale(self.options, epoch, epochs)
        for layer, protected in protected_channels(self.options, epoch, epochs, gammas.layers).items():
            scales = np.zeros(len(self.channels[layer]), dtype=np.float32)
            scales[self.channels[layer]] = np.where(protected, self.options.decay_factor, 1.0)
            self._scales[layer] = torch.from_numpy(scales)

    def end_epoch(self, epoch: int, task_loss: float, lr: float, momentum: float) -> float:
        """Tell how an epoch went, before the next one starts; gives the s of the next epoch as far as it is known.

        Args:
            task_loss: its mean, without our term; the same number on all processes.
            lr, momentum: of its last step; for Adam the first beta, which does not count.
        """
        if math.isfinite(task_loss):
            self._best_loss = min(self._best_loss, task_loss)
        if self.tuner is not None:
            self._strength = self.tuner.update(epoch, self.gammas().values, task_loss, lr, momentum,
                                               adaptive=self._adaptive)
        return self._strength

    @torch.no_grad()
    def before_step(self) -> None:
        """Add the subgradient to the gradients: once per optimiser step, after unscaling and clipping."""
        if self.options.step != "subgradient":
            return
        for layer, gamma, beta in self._pressed():
            if gamma.grad is not None and self._strength > 0:
                gamma.grad.addcmul_(gamma.sign(), self._on(gamma, layer), value=self._strength)
            if beta.grad is not None and self.options.s_bias > 0:
                beta.grad.addcmul_(beta.sign(), self._chosen(beta, layer), value=self.options.s_bias)

    @torch.no_grad()
    def after_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Do the proximal step, if that is chosen: once behind every step that the optimiser really made."""
        self._steps += 1
        self._adaptive = any("betas" in group for group in optimizer.param_groups)
        if self.options.step != "proximal":
            return
        groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        for layer, gamma, beta in self._pressed():
            for parameter, s, scales in ((gamma, self._strength, self._on(gamma, layer)),
                                         (beta, self.options.s_bias, self._chosen(beta, layer))):
                if s > 0 and parameter.requires_grad and id(parameter) in groups:
                    group, state = groups[id(parameter)], optimizer.state.get(parameter, {})
                    _shrink(parameter, _threshold(s * scales, group, state))

    @torch.no_grad()
    def penalty(self) -> float:
        """What the loss would be higher by: s * sum |gamma|, decayed where it is, and s_bias * sum |beta|."""
        sums = []
        for layer, gamma, beta in self._pressed():
            sums.append(self._strength * (gamma.abs() * self._on(gamma, layer)).sum())
            if self.options.s_bias > 0:
                sums.append(self.options.s_bias * (beta.abs() * self._chosen(beta, layer)).sum())
        return float(torch.stack(sums).sum())

    @torch.no_grad()
    def gammas(self, of: Darknet | None = None) -> Gammas:
        """|gamma| of the pressed channels of the model, or of another copy of it, for example its average."""
        layers = {}
        for layer, flags in self.channels.items():
            gamma = _norm(self.model if of is None else of, layer).weight
            layers[layer] = gamma.detach().abs().float().cpu().numpy()[flags]
        return Gammas(np.concatenate(list(layers.values())), layers)

    def gauge(self, *, lr: float, momentum: float = 0.0, remaining_steps: int = 0, lr_sum: float | None = None,
              loss: float | None = None, of: Darknet | None = None) -> SparsityGauge:
        """Judge the gammas as they are, with what has been measured since the epoch began.

        Args:
            lr, momentum: of the last step. remaining_steps: optimiser steps to the end of the run. lr_sum: their
                learning rates added up; None takes all of them for lr.
            loss: of this epoch. of: the copy of the model to judge.
        """
        gammas = self.gammas(of)
        measured = None
        if self._mark is not None and self._steps > self._mark[0]:  # of the model itself: an average lags behind it
            own = gammas if of is None else self.gammas()
            measured = (self._mark[1] - float(np.median(own.values))) / (self._steps - self._mark[0])
        push = Push(self._strength, lr, momentum, remaining_steps, lr_sum, self._adaptive, measured)
        return gauge(self.model.network, gammas.layers, push, loss=loss,
                     best_loss=self._best_loss if math.isfinite(self._best_loss) else None)

    def state_dict(self) -> dict[str, Any]:
        """What an exact resume needs, as tensors and plain values."""
        return {
            "strength": self._strength, "epoch": self._epoch, "epochs": self._epochs, "steps": self._steps,
            "mark": None if self._mark is None else list(self._mark), "best_loss": self._best_loss,
            "adaptive": self._adaptive,
            "scales": {layer: scales.detach().cpu().clone() for layer, scales in self._scales.items()},
            "tuner": None if self.tuner is None else self.tuner.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`; WeightsError if that presses other channels."""
        scales = {int(layer): tensor.clone() for layer, tensor in state["scales"].items()}
        if {layer: len(tensor) for layer, tensor in scales.items()} != {
                layer: len(flags) for layer, flags in self.channels.items()}:
            raise WeightsError(self.model.network.path, "the saved sparsity training pressed other layers",
                               "resume with the same cfg and the same --prune")
        self._scales = scales
        self._strength, self._steps = float(state["strength"]), int(state["steps"])
        self._epoch, self._epochs = int(state["epoch"]), int(state["epochs"])
        self._mark = None if state["mark"] is None else (int(state["mark"][0]), float(state["mark"][1]))
        self._best_loss, self._adaptive = float(state["best_loss"]), bool(state["adaptive"])
        if self.tuner is not None and state["tuner"] is not None:
            self.tuner.load_state_dict(state["tuner"])

    def _pressed(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """(layer, gamma, beta); looked up anew each time, because SyncBatchNorm may have taken the place of `bn`."""
        for layer in self.channels:
            bn = _norm(self.model, layer)
            yield layer, bn.weight, bn.bias

    def _on(self, gamma: Tensor, layer: int) -> Tensor:
        """Share of s per channel, 0 where it is not pressed; moved to the gamma's device for good."""
        self._scales[layer] = self._scales[layer].to(gamma.device)
        return self._scales[layer]

    def _chosen(self, beta: Tensor, layer: int) -> Tensor:
        """1 per pressed channel, else 0; moved to the beta's device for good."""
        self._selected[layer] = self._selected[layer].to(beta.device, beta.dtype)
        return self._selected[layer]


def _threshold(s: Tensor, group: Mapping[str, Any], state: Mapping[str, Any]) -> Tensor:
    """How far one step of the subgradient s would move a parameter in the long run; s and the result per channel."""
    lr = group["lr"]
    if "betas" not in group:
        return s * (lr * (1 - group.get("dampening", 0.0)) / (1 - group.get("momentum", 0.0)))
    if "exp_avg_sq" not in state:  # never stepped
        return torch.zeros_like(s)
    squares = state.get("max_exp_avg_sq", state["exp_avg_sq"])
    unbiased = squares / (1 - group["betas"][1] ** state["step"])
    return s * lr / (unbiased.add(s * s).sqrt_() + group["eps"])


def _shrink(parameter: Tensor, threshold: Tensor) -> None:
    """Move towards 0 by `threshold`, and no further; where the threshold is 0 nothing changes, bit for bit."""
    parameter.sub_(torch.clamp(parameter, -threshold, threshold))


def _norm(model: Darknet, layer: int) -> BatchNorm:
    """Of a convolution that has one, as all that are pressed."""
    module = model.layers[layer]
    assert isinstance(module, ConvolutionalLayer)
    assert module.bn is not None
    return module.bn
