#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Prune channels under one threshold on the batch-norm gammas; the first convolution of a stage decides for all.

    python shortcut_prune.py --cfg cfg/my.cfg --weights weights/my.weights --data data/my.data --percent 0.5

Layers that a shortcut ties together lose the same channels: those that the first of them can spare.
Writes prune_0.5_my.cfg and .weights beside the inputs (or in --out), and a JSON report.
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
    parser = CommandParser(prog="shortcut_prune.py", description=__doc__,
                           parents=[pruning_arguments(), channel_arguments("first")])
    group = parser.add_argument_group("strategy")
    group.add_argument("--percent", type=fraction, default=0.6, metavar="SHARE",
                       help="share of all prunable channels to remove")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prune with this strategy."""
    return run_pruning(args, choose, swept="percent")


def choose(network: Network, weights: Weights, args: argparse.Namespace) -> Plan:
    """The plan that the flags ask for."""
    from utils.pruning import shortcut_plan

    return shortcut_plan(network, weights, args.percent, args.round_to, exclude=args.exclude, reduce=args.reduce)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
