#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Prune channels under one global threshold on the batch-norm gammas; tied channels stay if any of them does.

    python slim_prune.py --cfg cfg/my.cfg --weights weights/my.weights --data data/my.data \\
                         --global_percent 0.5 --layer_keep 0.01

Writes prune_0.5_keep_0.01_my.cfg and .weights beside the inputs (or in --out), and a JSON report.
Without --data the pair is cut and verified, but no mAP is measured.
Works best on a network that was trained with sparsity (-sr).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.cli import CommandParser, fraction, run_command
from utils.cli.pruning import channel_arguments, pruning_arguments, run_pruning

if TYPE_CHECKING:
    from utils.darknet import Network, Weights
    from utils.pruning import Plan


def make_parser() -> CommandParser:
    """The flags of this command."""
    parser = CommandParser(prog="slim_prune.py", description=__doc__,
                           parents=[pruning_arguments(), channel_arguments()])
    group = parser.add_argument_group("strategy")
    group.add_argument("--global_percent", type=fraction, default=0.8, metavar="SHARE",
                       help="share of all prunable channels to remove")
    group.add_argument("--layer_keep", type=fraction, default=0.01, metavar="SHARE",
                       help="share of each layer's channels to keep in any case")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prune with this strategy."""
    return run_pruning(args, choose, swept="global_percent")


def choose(network: Network, weights: Weights, args: argparse.Namespace) -> Plan:
    """The plan that the flags ask for."""
    from utils.pruning import slim_plan

    return slim_plan(network, weights, args.global_percent, args.layer_keep, args.round_to,
                     exclude=args.exclude, reduce=args.reduce)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
