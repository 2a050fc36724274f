"""One network of several, written and measured: what a sweep and the rounds of compress.py choose by."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from utils.cli.pruning.measuring import Files, Validation, latency_of
from utils.cli.pruning.staging import write_pair
from utils.errors import OptionError

if TYPE_CHECKING:
    from utils.deploy import Latency
    from utils.pruning import NetworkCost, Plan
    from utils.training import EvaluationResult


@dataclass(frozen=True)
class Measured:
    """One network. value: what was asked for, and plan: what was chosen; None for the uncut network.

    agreement: of its detections with those of the uncut one, missed: what it misses at the heads; None if not measured.
    """

    value: float | None
    plan: Plan | None
    cost: NetworkCost
    latency: Latency
    evaluation: EvaluationResult | None
    agreement: float | None = None
    missed: float | None = None

    @property
    def map50(self) -> float | None:
        """mAP@0.5; None where it was not measured."""
        return self.evaluation.metrics.map50_coco if self.evaluation else None

    @property
    def quality(self) -> float | None:
        """mAP@0.5, or without labels the agreement with the uncut network."""
        return self.agreement if self.map50 is None else self.map50


def lost_map50(uncut: Measured, smaller: Measured) -> float:
    """How much less mAP@0.5 a smaller network has; NaN where one of them was not measured."""
    return math.nan if uncut.map50 is None or smaller.map50 is None else uncut.map50 - smaller.map50


def check_labelled(args: argparse.Namespace, uncut: Measured) -> None:
    """OptionError where --max-drop asks for a mAP, and no label says what would be right."""
    if uncut.map50 is None or math.isnan(uncut.map50):
        raise OptionError("--max-drop", f"{args.data} has no label, so there is no mAP that could drop",
                          "give labelled images, or do without --max-drop")


def measured(args: argparse.Namespace, cut: Sequence[Any], pair: Files, validation: Validation | None,
             value: float | None, plan: Plan | None) -> Measured:
    """Write a network and its weights as `pair`, and measure what can be; `value` and `plan` say how it came to be."""
    from utils.pruning import NetworkCost

    network, weights = cut[:2]
    write_pair(network, weights, pair)
    evaluation = validation.evaluate(pair, "before" if value is None else f"{value:g}") if validation else None
    return Measured(value, plan, NetworkCost.of(network), latency_of(args, network, pair), evaluation)
