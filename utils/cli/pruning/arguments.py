"""The flags that pruning commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from utils.cli.arguments import data_arguments, engine_argument, model_arguments, positive_int
from utils.cli.calibration import calibration_arguments
from utils.cli.pruning.steps import steps

# written out, because numpy should not be waited for when somebody asks for --help; a test holds them equal
FOLDS = ("exact", "beta", "mean", "exact-mean", "none")
REDUCTIONS = ("max", "first", "mean", "sum", "norm")


def pruning_arguments() -> argparse.ArgumentParser:
    """--cfg --weights --data and all that pruning commands have in common, as a parent parser."""
    parser = argparse.ArgumentParser(
        add_help=False, parents=[model_arguments(), data_arguments(required=False), calibration_arguments()])
    _cut_arguments(parser.add_argument_group("pruning"))
    _sweep_arguments(parser.add_argument_group("sweep"))
    _plan_arguments(parser.add_argument_group("plans"))
    output_arguments(parser.add_argument_group("output"))
    return parser


def channel_arguments(reduce: str = "max") -> argparse.ArgumentParser:
    """--round, --exclude and --reduce: for strategies that cut channels, as a parent parser.

    Args:
        reduce: the strategy's own way to score channels that are cut together.
    """
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("channels")
    group.add_argument("--round", type=positive_int, default=1, metavar="N", dest="round_to",
                       help="keep a multiple of N channels in every layer; 8 suits most hardware")
    group.add_argument("--exclude", choices=("none", "ancestor"), default="none",
                       help="ancestor: leave alone the convolutions that the well-known scripts leave alone")
    group.add_argument("--reduce", choices=REDUCTIONS, default=reduce,
                       help="the score of channels that shortcuts tie together: of all their |gamma|, or the first's")
    return parser


def _cut_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--fold", choices=FOLDS,
                       help="what becomes of the constants that removed channels still emitted: beta folds act(beta) "
                            "into the next layer, which is off at padded borders; exact keeps a channel to carry them, "
                            "or in the place of a block a layer that adds them, and is not; mean and exact-mean fold the mean activation, measured where --images are "
                            "given; none drops them (default: exact, or what the repair finds)")
    group.add_argument("--repair", choices=("auto", "none", "bn", "reconstruct"), default="auto",
                       help="reconstruct: fit what is left to what was there, on images without labels, layer by layer; bn: "
                            "measure the statistics of all batch norms anew on them; auto: reconstruct where there are images "
                            "(--images, or the train= of --data) and no --fold is given")
    group.add_argument("--dry-run", action="store_true", help="show what would go and what it would save; write nothing")


def _sweep_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--sweep", type=steps, metavar="A:B:STEP",
                       help="measure the cut from A to B in place of one, as 0.1:0.9:0.1; writes the one asked for, or "
                            "with --max-drop the largest that is good enough")
    group.add_argument("--max-drop", type=mean_difference, metavar="POINTS",
                       help="lose at most so much mAP@0.5, as 0.01: writes the largest cut of the sweep that does (needs "
                            "--data)")


def _plan_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--plan-out", type=Path, metavar="FILE", help="save the plan as JSON")
    group.add_argument("--plan-in", "--apply", type=Path, metavar="FILE",
                       help="apply this saved plan, of whichever strategy, instead of choosing anew")
    group.add_argument("--plan-diff", type=Path, metavar="FILE",
                       help="print in what the plan differs from this saved one, and write nothing")


def output_arguments(group: argparse._ArgumentGroup) -> None:
    """Add --out, --report, and how a written pair is verified and measured."""
    group.add_argument("--out", type=Path, metavar="DIR",
                       help="folder to write; the new pair goes there (default: beside the inputs, under another name)")
    group.add_argument("--report", type=Path, nargs="?", const=Path(), metavar="FILE",
                       help="write all that was found as one HTML page, and a picture of it (default: beside the new cfg)")
    group.add_argument("--engine-neutral", action="store_true",
                       help="rescale batch norms so that every engine computes the same whatever its epsilon; for "
                            "deployment, not for further pruning or sparsity training")
    group.add_argument("--verify-engines", default="opencv", metavar="NAMES",
                       help="engines that must agree, separated by commas: opencv, onnxruntime, darknet")
    group.add_argument("--no-verify", action="store_true", help="do not compare with another engine")
    group.add_argument("--repeats", type=positive_int, default=20, metavar="N", help="runs of the latency measurement")
    engine_argument(group)


def mean_difference(text: str) -> float:
    """argparse type: a difference of two mAPs, in [0, 1]."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; write 0.01 for one point of mAP") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a difference of mAPs in [0, 1]; write 0.01 for one point")
    return value
