"""How strongly batch-norm scales are pressed, and how that changes over the epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from utils.errors import OptionError

Kind = Literal["constant", "global-decay", "local-decay", "linear"]
Step = Literal["subgradient", "proximal"]
KINDS: tuple[Kind, ...] = ("constant", "global-decay", "local-decay", "linear")
STEPS: tuple[Step, ...] = ("subgradient", "proximal")


@dataclass(frozen=True)
class SparsityOptions:
    """What sparsity training does.

    s: strength, per optimiser step: the gradient of every pressed gamma grows by s * sign(gamma).
    kind: how s changes, see `sparsity_scale` and `protected_channels`.
    prune: 1 presses every channel that can be removed, 0 leaves out those that shortcuts tie across convolutions.
    s_bias: the same for beta, which no schedule weakens; 0 leaves beta alone.
    step: "subgradient" adds to the gradient; "proximal" shrinks after the optimiser's step and reaches exact zeros.
    decay_start: share of the epochs up to which s is whole, for both decays. decay_factor: what is left of it then.
    keep_percent: local decay: share of the gammas, the smallest, that s keeps pressing in full.
    linear_final: linear: what is left of s behind the last epoch; more than 1 lets it rise.

    Raises:
        OptionError: a value out of its range.
    """

    s: float = 0.001
    kind: Kind = "constant"
    prune: int = 1
    s_bias: float = 0.0
    step: Step = "subgradient"
    decay_start: float = 0.5
    decay_factor: float = 0.01
    keep_percent: float = 0.85
    linear_final: float = 0.1

    def __post_init__(self) -> None:
        for flag, value, known in (("--sparsity", self.kind, KINDS), ("--prune", self.prune, (0, 1)),
                                   ("--sparsity-step", self.step, STEPS)):
            if value not in known:
                raise OptionError(flag, f"there is no {value!r}", f"choose from {', '.join(map(str, known))}")
        for flag, number in (("--s", self.s), ("--s-bias", self.s_bias), ("--linear-final", self.linear_final)):
            if not (math.isfinite(number) and number >= 0):
                raise OptionError(flag, f"{number} is out of range", "give 0 or more")
        for flag, number in (("--decay-start", self.decay_start), ("--decay-factor", self.decay_factor),
                             ("--keep-percent", self.keep_percent)):
            if not 0 <= number <= 1:
                raise OptionError(flag, f"{number} is out of range", "give 0 to 1")


def sparsity_scale(options: SparsityOptions, epoch: int, epochs: int) -> float:
    """The factor of s in an epoch, the same for all channels; local decay weakens single channels instead.

    constant: 1. global-decay: 1, and decay_factor where epoch > decay_start * epochs. linear:
    1 - (1 - linear_final) * epoch / epochs, so that linear_final itself would be reached one epoch after the last.

    Args:
        epoch: counted from 0.
    """
    if options.kind == "global-decay":
        return options.decay_factor if _decays(options, epoch, epochs) else 1.0
    if options.kind == "linear":
        return 1 - (1 - options.linear_final) * epoch / epochs
    return 1.0


def protected_channels(options: SparsityOptions, epoch: int, epochs: int,
                       gammas: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Local decay: which gammas feel only decay_factor * s in an epoch, a bool per gamma and layer.

    With v, all values of `gammas` in ascending order, these are the ones of at least v[int(n * keep_percent)] (the
    largest, for keep_percent 1), where epoch > decay_start * epochs; before that, and for other kinds, none.

    Args:
        gammas: layer to |gamma| of its pressed channels, at the start of the epoch.
    """
    if options.kind != "local-decay" or not gammas or not _decays(options, epoch, epochs):
        return {layer: np.zeros(len(values), dtype=bool) for layer, values in gammas.items()}
    ordered = np.sort(np.concatenate(list(gammas.values())))
    threshold = ordered[min(int(len(ordered) * options.keep_percent), len(ordered) - 1)]
    return {layer: values >= threshold for layer, values in gammas.items()}


def _decays(options: SparsityOptions, epoch: int, epochs: int) -> bool:
    return epoch > options.decay_start * epochs
