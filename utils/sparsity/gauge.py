"""How sparse a network is, how much of it could go, and whether the training will get anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from utils.darknet import Network
from utils.sparsity.drift import drift_per_step, steps_to_zero, strength_for

SMALL, TINY = 1e-2, 1e-3  # a channel below SMALL can go; gradient noise alone often keeps gammas above TINY
COLLAPSED_SHARE = 0.99  # of all gammas
WORSE = 1.5  # the loss, against the best so far


@dataclass(frozen=True, slots=True)
class Push:
    """What moves the gammas in the rest of a run.

    s: strength. lr: learning rate. momentum: of SGD. adaptive: Adam, whose steps do not grow with s.
    steps: optimiser steps still to come. lr_sum: their learning rates added up; None for steps * lr.
    measured: by how much the median gamma fell per optimiser step lately, or None.
    """

    s: float
    lr: float
    momentum: float = 0.0
    steps: int = 0
    lr_sum: float | None = None
    adaptive: bool = False
    measured: float | None = None

    @property
    def drift(self) -> float:
        """Per step, from the formula."""
        return drift_per_step(self.s, self.lr, self.momentum, adaptive=self.adaptive)

    @property
    def lr_left(self) -> float:
        """The learning rates of all steps to come, added up."""
        return self.steps * self.lr if self.lr_sum is None else self.lr_sum

    @property
    def reach(self) -> float:
        """How far the steps to come move a gamma that nothing opposes."""
        return drift_per_step(self.s, self.lr_left, self.momentum, adaptive=self.adaptive)


@dataclass(frozen=True, slots=True)
class SparsityWarning:
    """That a sparsity training goes wrong, and what would help."""

    kind: Literal["nothing moves", "collapse"]
    text: str


@dataclass(frozen=True, slots=True)
class SparsityGauge:
    """The gammas of one moment.

    share_1e2, share_1e3: share of the pressed gammas below 0.01 and 0.001.
    prunable_share: share of the network's batch-norm channels that are pressed at all.
    largest_share_limit: below this global_percent slim pruning leaves every layer a channel above its threshold;
        from there on layer_keep has to rescue one. limiting_layer: the layer that would be the first, or None.
    collapsed_layers: layers without a gamma of 0.01 or more.
    mean_gamma, median_gamma: of |gamma|.
    steps_left: optimiser steps after which half of the gammas would be 0, infinite if never, None if not asked for.
    warnings: none, or what goes wrong.
    """

    share_1e2: float
    share_1e3: float
    prunable_share: float
    largest_share_limit: float
    limiting_layer: int | None
    collapsed_layers: tuple[int, ...]
    mean_gamma: float
    median_gamma: float
    steps_left: float | None = None
    warnings: tuple[SparsityWarning, ...] = ()

    def line(self) -> str:
        """All of it in one line for a terminal, without the warnings."""
        parts = [f"gammas: {self.share_1e2:.1%} < 0.01, {self.share_1e3:.1%} < 0.001, mean {self.mean_gamma:.3g}",
                 f"slim can cut {self.largest_share_limit:.1%}"]
        if self.limiting_layer is not None:
            parts[-1] += f" before layer {self.limiting_layer} is empty"
        if self.collapsed_layers:
            parts.append(f"dead layers: {len(self.collapsed_layers)}")
        if self.steps_left is not None and self.median_gamma >= SMALL:
            parts.append("half of them never reach 0" if math.isinf(self.steps_left)
                         else f"half of them at 0 in about {math.ceil(self.steps_left)} steps")
        return "; ".join(parts)


def gauge(network: Network, gammas: Mapping[int, np.ndarray], push: Push | None = None, *,
          loss: float | None = None, best_loss: float | None = None) -> SparsityGauge:
    """Judge the gammas of a network.

    Args:
        gammas: layer to |gamma| of its pressed channels, as `Sparsity.gammas` gives them; at least one in all.
        push: what will go on moving them; without it there is no estimate and no warning that nothing moves.
        loss, best_loss: task loss of this epoch and the lowest of any epoch; without them no warning of a collapse.
    """
    values = np.concatenate(list(gammas.values())).astype(np.float64)
    median = float(np.median(values))
    # A layer with channels that are never pressed, hence never removed, cannot be emptied.
    largest = {layer: float(g.max()) for layer, g in gammas.items() if len(g) == network.layers[layer].shape.channels}
    limiting = min(largest, key=largest.__getitem__, default=None)
    limit = 1.0 if limiting is None else float((values < largest[limiting]).mean())
    judged = SparsityGauge(
        share_1e2=float((values < SMALL).mean()),
        share_1e3=float((values < TINY).mean()),
        prunable_share=len(values) / _batch_norm_channels(network),
        largest_share_limit=limit,
        limiting_layer=limiting,
        collapsed_layers=tuple(layer for layer, top in largest.items() if top < SMALL),
        mean_gamma=float(values.mean()),
        median_gamma=median,
    )
    collapse = _collapse(judged, len(gammas), loss, best_loss)
    if push is None:
        return replace(judged, warnings=collapse)
    return replace(judged, steps_left=_steps_left(median, push), warnings=collapse + _nothing_moves(median, push))


def _batch_norm_channels(network: Network) -> int:
    return sum(layer.shape.channels for layer in network.layers if layer.kind == "convolutional"
               and layer.options.batch_normalize and layer.options.share_index is None)


def _steps_left(median: float, push: Push) -> float:
    """From the measured drift where it is positive, else from the formula; never, where nothing presses."""
    if push.s <= 0:
        return math.inf
    if push.measured is not None and push.measured > 0:
        return steps_to_zero(median, push.measured)
    return steps_to_zero(median, push.drift)


def _nothing_moves(median: float, push: Push) -> tuple[SparsityWarning, ...]:
    """The median gamma is too far away for the steps that are left."""
    if median < SMALL or push.steps <= 0 or push.reach >= median:
        return ()
    problem = (f"the steps that are left move a gamma by at most {push.reach:.2g}, and half of them are above "
               f"{median:.2g}")
    needed = strength_for(median, push.lr_left, push.momentum)
    if push.adaptive or math.isinf(needed):
        remedy = "take more epochs or a higher learning rate"
    else:
        remedy = f"--s {needed:.2g} would reach 0, or take more epochs or a higher learning rate"
    return (SparsityWarning("nothing moves", f"{problem}; {remedy}"),)


def _collapse(judged: SparsityGauge, layers: int, loss: float | None, best: float | None) -> tuple[SparsityWarning, ...]:
    """Everything, or whole layers, at 0, and the loss much higher than it was."""
    if loss is None or best is None or (math.isfinite(loss) and loss <= WORSE * best):
        return ()
    if judged.share_1e2 >= COLLAPSED_SHARE:
        what = f"{judged.share_1e2:.1%} of the gammas are below {SMALL}"
    elif judged.collapsed_layers:
        what = f"{len(judged.collapsed_layers)} of {layers} layers are dead"
    else:
        return ()
    return (SparsityWarning("collapse", f"{what} and the loss rose from {best:.4g} to {loss:.4g}; start again with a "
                                        "smaller --s, or with --s auto"),)
