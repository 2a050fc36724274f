"""The flags of compress.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from utils.cli.arguments import CommandParser, data_arguments, fraction, model_arguments, non_negative_int, positive_int
from utils.cli.calibration import calibration_arguments
from utils.cli.compression.targets import target
from utils.cli.pruning.arguments import mean_difference, output_arguments

# written out, because numpy should not be waited for when somebody asks for --help; a test holds them equal
CRITERIA = ("dependence", "relevance", "gamma-max", "gamma-first", "gamma-mean", "gamma-sum", "l1", "l2", "lamp", "taylor")


def compression_arguments(description: str | None) -> CommandParser:
    """All flags, in groups."""
    parser = CommandParser(prog="compress.py", description=description, parents=[
        model_arguments(), calibration_arguments(), data_arguments(required=False)])
    _size_arguments(parser.add_argument_group("how small"))
    _way_arguments(parser.add_argument_group("how"))
    output = parser.add_argument_group("output")
    output.add_argument("--plan-out", type=Path, metavar="FILE", help="save the plan as JSON; `prune.py --apply` takes it")
    output_arguments(output)
    parser.set_defaults(plan_in=None)
    return parser


def _size_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--target", type=target, nargs="+", metavar="WHAT",
                       help="4x or 0.25 (parameters), params:1M, gflops:2.0, gflops:4x, size:5MB, latency:30ms; several "
                            "must all be met")
    group.add_argument("--max-drop", type=mean_difference, metavar="POINTS",
                       help="lose at most so much mAP@0.5, as 0.01: writes the smallest network found that does on the valid= "
                            "of --data; without --target the rounds go on until none does")
    group.add_argument("--min-agreement", type=fraction, default=0.5, metavar="SHARE",
                       help="stop before a round after which so little of what the original finds is still found, as mAP@0.5")


def _way_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--criterion", choices=("auto", *CRITERIA), default="auto",
                       help="what goes first: what the rest can stand in for (dependence), what carries little (relevance), "
                            "small batch-norm scales or weights; auto tries some and takes what misses least at the heads on "
                            "images that the repair did not see; taylor needs labelled --data")
    group.add_argument("--rounds", type=_rounds, metavar="N",
                       help="cuts on the way, each repaired (default auto: as many as it takes to halve at most in each; where "
                            "these are three or more one cut is tried, too, and what misses less at the heads is taken)")
    group.add_argument("--round", type=positive_int, default=1, metavar="N", dest="round_to",
                       help="keep a multiple of N channels in every layer; 8 suits most hardware")
    group.add_argument("--keep-blocks", action="store_true", help="remove no residual blocks, only channels")


def _rounds(text: str) -> int | None:
    """argparse type: a number of rounds, or `auto`."""
    return None if text == "auto" else non_negative_int(text) or None
