"""A pruned pair on its way to the disk: written in a staging place, verified, measured, and only then there."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from utils.atomic import made_folder, staged_files, write_text
from utils.cli.pruning.cutting import CutPair, Cutting
from utils.cli.pruning.measuring import Files, Validation, latency_of, verify
from utils.cli.pruning.pruned_pair import PrunedPair
from utils.cli.pruning.staging import Outputs, final_names, renamed, write_pair
from utils.cli.pruning.sweep import Sweep

if TYPE_CHECKING:
    from utils.deploy import VerificationReport
    from utils.pruning import Plan, PruningSummary
    from utils.training import EvaluationResult


def write_measured(args: argparse.Namespace, plan: Plan, cutting: Cutting, after: CutPair,
                   summary: PruningSummary, outputs: Outputs, validation: Validation | None,
                   sweep: Sweep | None) -> PrunedPair:
    """Write the pair in a staging place, verify and measure it there, and let all files appear at their final ones.

    Raises:
        BonsaiError: it cannot be written or measured, or another engine computes something else; nothing is there then.
    """
    from utils.cli.pruning.facts import facts_of
    from utils.reports import write_json

    with ExitStack() as folders:
        for path in outputs.files:
            folders.enter_context(made_folder(path.parent))
        places = folders.enter_context(staged_files(*outputs.files))
        staged = outputs.at(places)
        old = staged.cfg.with_name("before.cfg"), staged.weights.with_name("before.weights")
        names = dict(zip(map(str, (*staged.pair, *old)), (*outputs.pair, args.cfg, args.weights), strict=True))
        with final_names(names):
            write_pair(cutting.network, cutting.weights, old, seen=None)
            write_pair(after.network, after.weights, staged.pair)
            verification = None if args.no_verify else _verified(args, validation, staged.pair, names)
            evaluations = _evaluations(validation, plan, old, staged.pair, sweep)
            latency = latency_of(args, cutting.network, old), latency_of(args, cutting.network, staged.pair)
        pair = PrunedPair(outputs, plan, summary, evaluations, latency, verification, sweep)
        facts = facts_of(args, pair, cutting, after)
        write_json(staged.json, facts)
        if staged.page and staged.picture:
            from utils.cli.pruning.page import write_page

            write_page(staged.page, staged.picture, facts, pair, validation)
        if staged.plan:
            write_text(staged.plan, plan.to_json() + "\n")
    return pair


def _verified(args: argparse.Namespace, validation: Validation | None, pair: Files,
              names: Mapping[str, Path]) -> VerificationReport:
    """What other engines say to the staged pair; the report names its final place."""
    report = verify(args, validation, pair)
    verdicts = tuple(replace(verdict, reason=renamed(verdict.reason, names)) for verdict in report.engines)
    return replace(report, cfg=renamed(report.cfg, names), weights=renamed(report.weights, names),
                   reason=renamed(report.reason, names), engines=verdicts)


def _evaluations(validation: Validation | None, plan: Plan, old: Files, new: Files,
                 sweep: Sweep | None) -> tuple[EvaluationResult, EvaluationResult] | None:
    """Of both pairs on --data; what a sweep has measured of the same plan is not measured again."""
    if validation is None:
        return None
    before = sweep.uncut.evaluation if sweep else None
    after = next((point.evaluation for point in sweep.points if point.plan == plan), None) if sweep else None
    return before or validation.evaluate(old, "before"), after or validation.evaluate(new, "after")
