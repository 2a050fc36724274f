"""What is known of a pair that was pruned, written, verified and measured: the value that tables, page and JSON show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.cli.pruning.staging import Outputs
from utils.cli.pruning.sweep import Sweep

if TYPE_CHECKING:
    from utils.deploy import Latency, VerificationReport
    from utils.detection import Metrics
    from utils.pruning import Plan, PruningSummary
    from utils.training import EvaluationResult


@dataclass(frozen=True)
class PrunedPair:
    """Where the new pair and its reports lie, and what the network before and after it measures."""

    outputs: Outputs
    plan: Plan
    summary: PruningSummary
    evaluations: tuple[EvaluationResult, EvaluationResult] | None
    latency: tuple[Latency, Latency]
    verification: VerificationReport | None
    sweep: Sweep | None

    @property
    def metrics(self) -> tuple[Metrics, Metrics] | None:
        """All figures of both; None without --data."""
        return (self.evaluations[0].metrics, self.evaluations[1].metrics) if self.evaluations else None
