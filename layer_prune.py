#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Remove whole residual blocks, those first whose last convolution has the smallest mean gamma.

    python layer_prune.py --cfg cfg/my.cfg --weights weights/my.weights --data data/my.data --shortcuts 8

Makes a network faster rather than smaller; the widths of all other layers stay.
Writes prune_8_shortcut_my.cfg and .weights beside the inputs (or in --out), and a JSON report.
Without --data the pair is cut and verified, but no mAP is measured.
Works best on a network that was trained with sparsity (-sr).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.cli import CommandParser, non_negative_int, run_command
from utils.cli.pruning import pruning_arguments, run_pruning

if TYPE_CHECKING:
    from utils.darknet import Network, Weights
    from utils.pruning import Plan


def make_parser() -> CommandParser:
    """The flags of this command."""
    parser = CommandParser(prog="layer_prune.py", description=__doc__, parents=[pruning_arguments()])
    group = parser.add_argument_group("strategy")
    group.add_argument("--shortcuts", type=non_negative_int, default=8, metavar="N",
                       help="number of residual blocks to remove")
    group.add_argument("--min-blocks-per-stage", type=non_negative_int, default=0, metavar="N",
                       help="residual blocks to leave in each stage")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prune with this strategy."""
    return run_pruning(args, choose, swept="shortcuts")


def choose(network: Network, weights: Weights, args: argparse.Namespace) -> Plan:
    """The plan that the flags ask for."""
    from utils.pruning import layer_plan

    return layer_plan(network, weights, args.shortcuts, min_blocks_per_stage=args.min_blocks_per_stage)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
