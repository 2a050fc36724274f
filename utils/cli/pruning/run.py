"""The one way from a pair to a smaller pair that all pruning commands share.

Read, choose, cut, write beside the final place, verify what was written in another engine, measure both, and only then
rename: a pair that disagrees, a full disk or Ctrl-C leaves nothing behind.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from utils.atomic import made_folder, write_text
from utils.cli.pruning.cutting import Cutting, check_repair, read_starting_weights
from utils.cli.pruning.measuring import Validation
from utils.cli.pruning.plan_files import load_plan, plan_differences
from utils.cli.pruning.prefixes import name_prefix
from utils.cli.pruning.showing import print_costs, print_repair, print_result, print_sweep, print_widths
from utils.cli.pruning.staging import outputs_of
from utils.cli.pruning.sweep import Sweep, check_sweep, run_sweep, sweep_plans
from utils.cli.pruning.writing import write_measured

if TYPE_CHECKING:
    from pathlib import Path

    from utils.darknet import Network, Weights
    from utils.pruning import Plan

_logger = logging.getLogger(__name__)

Strategy = Callable[["Network", "Weights", argparse.Namespace], "Plan"]


def run_pruning(args: argparse.Namespace, strategy: Strategy, swept: str) -> int:
    """The body of a pruning command.

    Args:
        args: of `pruning_arguments`.
        strategy: chooses what goes, by the flags of the namespace that it is given.
        swept: the name of the flag, and of the plan's parameter, that --sweep varies.

    Raises:
        BonsaiError: whatever is wrong with the inputs, the plan, the outputs, or the pair that was written.
    """
    from utils.cli.device import prepare_process
    from utils.cli.engines import requested_network
    from utils.pruning import summarize

    check_sweep(args)
    check_repair(args)
    args.threads = prepare_process(threads=args.threads, seed=args.seed)
    network = requested_network(args)
    weights = read_starting_weights(args.weights, network)
    if args.plan_diff:
        plan = load_plan(args.plan_in) if args.plan_in else strategy(network, weights, args)
        print(plan_differences(plan, load_plan(args.plan_diff)))
        return 0
    validation = None if args.dry_run and not args.sweep else Validation.of(args, network)
    plan, sweep, cutting = _chosen(args, strategy, swept, network, weights, validation)
    outputs = outputs_of(args, name_prefix(plan))
    cut = cutting.cut(plan)
    summary = summarize(network, cut.network, plan, cut.adders)
    print_widths(summary, plan, cutting.fold, cut.approximate_layers, cut.adders)
    print_repair(cutting, cut)
    if args.dry_run:
        if args.plan_out:
            with made_folder(args.plan_out.parent):
                write_text(args.plan_out, plan.to_json() + "\n")
        print_costs(summary)
        print("dry run: nothing was written" + (f" but the plan {args.plan_out}" if args.plan_out else ""))
        return 0
    pair = write_measured(args, plan, cutting, cut, summary, outputs, validation, sweep)
    print_costs(pair.summary, pair.metrics, pair.latency)
    print_result(args, pair)
    return 0


def _chosen(args: argparse.Namespace, strategy: Strategy, swept: str, network: Network, weights: Weights,
            validation: Validation | None) -> tuple[Plan, Sweep | None, Cutting]:
    """The plan to carry out: the saved one, the one asked for, or the largest of the sweep within --max-drop."""
    def choose(own: argparse.Namespace) -> Plan:
        return strategy(network, weights, own)

    if not args.sweep:
        plan = load_plan(args.plan_in) if args.plan_in else choose(args)
        outputs_of(args, name_prefix(plan))  # a name that cannot be is told before the time is spent
        if not args.plan_in:
            _remark(args.weights, network, weights, plan)
        return plan, None, Cutting.of(args, network, weights)
    plans = sweep_plans(args, choose, swept)
    asked = choose(args) if args.max_drop is None else None
    for plan in (*plans.values(), *([asked] if asked else [])):
        outputs_of(args, name_prefix(plan))
    _remark(args.weights, network, weights, asked or max(plans.items())[1])
    cutting = Cutting.of(args, network, weights)
    sweep = run_sweep(args, cutting, plans, swept, validation)
    print_sweep(sweep)
    chosen = asked or sweep.named().plan
    assert chosen is not None  # of a sweep, only the uncut network is without a plan
    return chosen, sweep, cutting


def _remark(name: Path, network: Network, weights: Weights, plan: Plan) -> None:
    """Say what a user should know before time is spent: a cut that will hurt, layers that kept their best channel."""
    from utils.deploy import is_engine_neutral
    from utils.pruning import remarks

    if is_engine_neutral(weights):
        _logger.warning("%s was made with --engine-neutral, so its gammas no longer say which channels matter; cut the pair "
                        "from before it, and make only the last cut engine-neutral", name)
    for remark in remarks(network, weights, plan):
        _logger.warning("%s", remark)
