"""All that a pruning command found, as one JSON object: what its page shows, too."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING, Any

from utils.cli.pruning.cutting import CutPair, Cutting
from utils.cli.pruning.sweep import Sweep, sweep_facts

if TYPE_CHECKING:
    from utils.cli.pruning.pruned_pair import PrunedPair
    from utils.deploy import Latency
    from utils.detection import Metrics
    from utils.pruning import Plan, PruningSummary


def facts_of(args: argparse.Namespace, pair: PrunedPair, cutting: Cutting, after_cut: CutPair) -> dict[str, Any]:
    """Costs before and after, the plan, widths, gammas, the sweep, the verification, and how it was asked for."""
    from utils.cli.version import version
    from utils.pruning import cut_gammas

    summary, plan = pair.summary, pair.plan
    before, after = (costs(summary, pair.metrics, pair.latency, which) for which in (0, 1))
    return {
        "version": version(),
        "command_line": shlex.join(["python", *sys.argv]),
        "command": vars(args),
        "strategy": plan.strategy,
        "parameters": dict(plan.parameters),
        "before": {**before, "cfg": args.cfg, "weights": args.weights},
        "after": {**after, "cfg": pair.outputs.cfg, "weights": pair.outputs.weights},
        "asked": {"channels that could go": summary.asked_share},
        "reached": reached_shares(summary),
        "fold": {"name": cutting.fold, "approximate_layers": after_cut.approximate_layers, "adders": after_cut.adders},
        "repair": {"name": cutting.repair, "images": len(cutting.images) if cutting.images else 0, "missed_at_heads": after_cut.heads},
        "latency": {"engine": args.engine, "threads": args.threads, "repeats": pair.latency[0].repeats,
                    "warmup": pair.latency[0].warmup, "predicted_ms": after_cut.predicted_ms},
        "metrics": [one.to_dict() for one in pair.metrics] if pair.metrics else None,
        "summary": summary.to_dict(),
        "gammas": cut_gammas(cutting.network, cutting.weights, plan).to_dict(),
        "sweep": sweep_facts(pair.sweep, _chosen(pair.sweep, plan)) if pair.sweep else None,
        "verification": pair.verification.to_dict() if pair.verification else None,
    }


def _chosen(sweep: Sweep, plan: Plan) -> float | None:
    """The value of what is written: as the sweep says, else as the plan's parameters do."""
    value = sweep.chosen or plan.parameters.get(sweep.flag.removeprefix("--"))
    return float(value) if isinstance(value, int | float) else None


def costs(summary: PruningSummary, metrics: tuple[Metrics, Metrics] | None, latency: tuple[Latency, Latency] | None,
          which: int) -> dict[str, float | None]:
    """What the network before (0) or after (1) costs and gives; None where it was not measured."""
    cost = (summary.before, summary.after)[which]
    return {
        "map50": metrics[which].map50_coco if metrics else None,
        "map": metrics[which].map if metrics else None,
        "parameters": cost.parameters,
        "gflops": cost.bflops,
        "file_bytes": cost.weights_bytes,
        "latency_ms": latency[which].median_ms if latency else None,
        "latency_p95_ms": latency[which].p95_ms if latency else None,
    }


def reached_shares(summary: PruningSummary) -> dict[str, float]:
    """Which share of what went."""
    return {"channels that could go": summary.removed_share, "all channels": summary.removed_channels_share,
            "parameters": summary.removed_parameters_share, "GFLOPs": summary.removed_bflops_share}
