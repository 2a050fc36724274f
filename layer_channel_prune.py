#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Prune channels as slim_prune.py does, and then the residual blocks whose surviving channels matter least.

    python layer_channel_prune.py --cfg cfg/my.cfg --weights weights/my.weights --data data/my.data \\
                                  --shortcuts 8 --global_percent 0.6 --layer_keep 0.01

Writes prune_0.6_keep_0.01_8_shortcut_my.cfg and .weights beside the inputs (or in --out), and a JSON report.
Without --data the pair is cut and verified, but no mAP is measured.
Works best on a network that was trained with sparsity (-sr).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.cli import CommandParser, fraction, non_negative_int, run_command
from utils.cli.pruning import channel_arguments, pruning_arguments, run_pruning

if TYPE_CHECKING:
    from utils.darknet import Network, Weights
    from utils.pruning import Plan


def make_parser() -> CommandParser:
    """The flags of this command."""
    parser = CommandParser(prog="layer_channel_prune.py", description=__doc__,
                           parents=[pruning_arguments(), channel_arguments()])
    group = parser.add_argument_group("strategy")
    group.add_argument("--shortcuts", type=non_negative_int, default=8, metavar="N",
                       help="number of residual blocks to remove")
    group.add_argument("--global_percent", type=fraction, default=0.6, metavar="SHARE",
                       help="share of all prunable channels to remove")
    group.add_argument("--layer_keep", type=fraction, default=0.01, metavar="SHARE",
                       help="share of each layer's channels to keep in any case")
    group.add_argument("--min-blocks-per-stage", type=non_negative_int, default=0, metavar="N",
                       help="residual blocks to leave in each stage")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prune with this strategy."""
    return run_pruning(args, choose, swept="global_percent")


def choose(network: Network, weights: Weights, args: argparse.Namespace) -> Plan:
    """The plan that the flags ask for."""
    from utils.pruning import layer_channel_plan

    return layer_channel_plan(
        network, weights, args.shortcuts, args.global_percent, args.layer_keep, args.round_to, exclude=args.exclude,
        reduce=args.reduce, min_blocks_per_stage=args.min_blocks_per_stage)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
