"""Compression without training: cut in rounds, each towards the budget and each repaired against the original network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from utils.darknet import Network, Weights
from utils.pruning import Plan, apply_plan, channel_groups, keep_everything, residual_blocks
from utils.pruning.budget import Limit, balanced_plan, plan_within
from utils.pruning.composition import composed
from utils.pruning.elimination import Step
from utils.pruning.orders import AUTOMATIC, Scores, Units, step_order
from utils.pruning.plan import Parameter
from utils.pruning.statistics import ActivationStatistics
from utils.training.activation_statistics import activation_statistics
from utils.training.reconstruction import Sampling, reconstructed

Advance = Callable[..., None]
Gradients = Callable[[Network, Weights], Scores]


@dataclass(frozen=True, eq=False)
class Round:
    """A smaller network, repaired.

    plan: of the original network. criterion: that chose this round's cut. heads: what is missed at each head, as
    `Reconstruction.heads`. tried: the mean of these for each criterion that was tried.
    """

    plan: Plan
    network: Network
    weights: Weights
    criterion: str = ""
    heads: tuple[float, ...] = ()
    tried: tuple[tuple[str, float], ...] = ()

    @property
    def residual(self) -> float:
        """The mean over the heads."""
        return float(np.mean(self.heads)) if self.heads else 0.0


@dataclass(frozen=True, eq=False)
class Compressor:
    """Makes smaller networks of one original.

    images: (N, C, H, W) float32 in [0, 1], at the network's size; two or more. criterion: a key of orders.CRITERIA, or
    "auto", which repairs one cut per candidate and takes the one that misses least at the heads, on images that the solution
    did not see. round_to: widths are multiples of this. blocks: whether residual blocks may go. gradients: measures the
    scores of the criterion "taylor", which are measured anew in each round as all others are. target: what is asked for in words, for the plans.
    """

    network: Network
    weights: Weights
    images: np.ndarray
    criterion: str = "auto"
    round_to: int = 1
    blocks: bool = True
    gradients: Gradients | None = None
    target: str = ""
    device: str = "cpu"
    sampling: Sampling = field(default_factory=Sampling)

    @property
    def uncut(self) -> Round:
        """The original, to begin with."""
        return Round(keep_everything(self.network), self.network, self.weights)

    def check(self, limits: Sequence[Limit]) -> None:
        """TargetError where the original meets the limits, or would not even with a channel left in each layer."""
        removable = np.flatnonzero(~channel_groups(self.network).fixed)
        blocks = residual_blocks(self.network) if self.blocks else ()
        everything = [*(Step(block=block.shortcut) for block in blocks), *(Step(class_id=int(c)) for c in removable)]
        plan_within(self.network, everything, limits, "compress", {}, round_to=self.round_to)

    def cut(self, current: Round, limits: Sequence[Limit], units: Units, advance: Advance | None = None) -> Round:
        """The next round: what meets all limits with as few cuts as possible.

        Args:
            units: what is to be saved, each with the weight to begin with; one per limit.
            advance: called with 1 after each layer; `layers` times in all.

        Raises:
            TargetError: the limits are met already, or cannot be. PlanError, DataError: as `reconstructed`.
        """
        batches = (self.images[start:start + 8] for start in range(0, len(self.images), 8))
        statistics = activation_statistics(current.network, current.weights, batches, images=len(self.images),
                                           device=self.device, seed=self.sampling.seed)
        names = AUTOMATIC if self.criterion == "auto" and not current.criterion else (current.criterion or self.criterion,)
        taylor = self.gradients(current.network, current.weights) if self.gradients else None
        found = []
        for name in names:
            parameters: dict[str, Parameter] = {"target": self.target, "criterion": name, "round_to": self.round_to}
            step = plan_by(name, current.network, current.weights, statistics, limits, units, parameters, blocks=self.blocks,
                           taylor=taylor)
            plan = composed(self.network, current.plan, step)
            repaired = reconstructed(self.network, self.weights, plan, self.images, device=self.device,
                                     start=apply_plan(current.network, current.weights, step, "beta"),
                                     sampling=self.sampling, advance=advance)
            found.append(Round(plan, repaired.network, repaired.weights, name, repaired.heads))
        best = min(found, key=lambda one: one.residual)
        return replace(best, tried=tuple((one.criterion, one.residual) for one in found))

    def layers(self, current: Round) -> int:
        """How often `cut` calls `advance`."""
        tries = len(AUTOMATIC) if self.criterion == "auto" and not current.criterion else 1
        return tries * len(self.network.layers)


def plan_by(criterion: str, network: Network, weights: Weights, statistics: ActivationStatistics, limits: Sequence[Limit],
            units: Units, parameters: Mapping[str, Parameter], *, blocks: bool = True, taylor: Scores | None = None) -> Plan:
    """What has to go for all limits to be met, chosen by one criterion.

    Args:
        criterion, statistics, blocks, taylor: as for `step_order`. units: one per limit, with the weights to begin with.
        parameters: of the plan; widths are multiples of its "round_to".

    Raises:
        TargetError, PlanError: as `plan_within` and `step_order`.
    """
    def order(balance: Sequence[float]) -> Sequence[Step]:
        weighted = [(unit, weight * share) for (unit, weight), share in zip(units, balance, strict=True)]
        return step_order(criterion, network, weights, statistics, weighted, blocks=blocks, taylor=taylor)

    return balanced_plan(network, order, limits, "compress", parameters, round_to=int(parameters.get("round_to") or 1))


def schedule(network: Network, limits: Sequence[Limit], rounds: int | None) -> list[tuple[Limit, ...]]:
    """The limits of each round, a geometric way to those that were asked for.

    Args:
        rounds: how many; None: as many as it takes to halve at most in each.
    """
    ratios = [max(1.0, limit.excess(network)) for limit in limits]
    count = rounds or max(1, math.ceil(math.log2(max(ratios)) - 1e-9))
    return [tuple(replace(limit, most=limit.most * ratio ** (1 - number / count))
                  for limit, ratio in zip(limits, ratios, strict=True)) for number in range(1, count + 1)]
