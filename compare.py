#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Put several pairs of .cfg and .weights side by side: mAP, size, cost and speed, on the same images and threads.

    python compare.py --data data/my.data baseline=cfg/my.cfg,weights/best.weights \\
        pruned=cfg/prune_0.6_my.cfg,weights/prune_0.6_best.weights

A pair is NAME=CFG,WEIGHTS, or CFG,WEIGHTS. mAP is measured with --engine; one image's latency in every engine of
--latency that can run the pair. With --report, a pair that lies in the folder of its training shows the curve of it, too.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.cli import CommandParser, common_arguments, data_arguments, engine_argument, positive_int, run_command
from utils.cli.arguments import ENGINES, network_size_argument
from utils.errors import OptionError


@dataclass(frozen=True)
class Pair:
    """Two files under one name."""

    name: str
    cfg: Path
    weights: Path


def pair(text: str) -> Pair:
    """argparse type: `NAME=CFG,WEIGHTS` or `CFG,WEIGHTS`, the file name of the weights then being the name.

    What stands before an `=` is a name only if it is no path: folders may be called `lr=0.1`.
    """
    name, equals, files = text.partition("=")
    if not equals or re.search(r"[/\\,]", name):
        name, files = "", text
    cfg, comma, weights = files.partition(",")
    if not (cfg and comma and weights):
        raise argparse.ArgumentTypeError(f"{text!r} is no pair; write NAME=CFG,WEIGHTS")
    return Pair(name or Path(weights).stem, Path(cfg), Path(weights))


def make_parser() -> CommandParser:
    """The flags of this command."""
    parser = CommandParser(prog="compare.py", description=__doc__, parents=[common_arguments(), data_arguments()])
    parser.add_argument("pairs", nargs="+", type=pair, metavar="NAME=CFG,WEIGHTS", help="what to compare")
    network_size_argument(parser.add_argument_group("model"))
    group = parser.add_argument_group("measuring")
    engine_argument(group)
    group.add_argument("--latency", default="torch,opencv", metavar="NAMES",
                       help="engines to time, separated by commas; an engine that cannot run a pair leaves a gap")
    group.add_argument("--repeats", type=positive_int, default=20, metavar="N", help="runs of the latency measurement")
    group.add_argument("--verify-engines", default="", metavar="NAMES",
                       help="engines that must agree, separated by commas: opencv, onnxruntime, darknet (default: none is asked)")
    output = parser.add_argument_group("output")
    output.add_argument("--report", type=Path, metavar="FILE",
                        help="write all that was found as one HTML page, with curves and detections, and a picture of it beside it")
    output.add_argument("--save-json", "--json", type=Path, metavar="FILE", help="write all that was found to FILE as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure every pair, and print one table."""
    from utils.cli.comparing import measured, picture_of, write_page
    from utils.cli.device import prepare_process
    from utils.cli.engines import requested_network
    from utils.cli.outputs import check_output, input_files
    from utils.reports import comparison_table, write_json

    timed = _engines("--latency", args.latency, ENGINES)
    verified = _engines("--verify-engines", args.verify_engines, [name for name in ENGINES if name != "torch"])
    names = [one.name for one in args.pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError("NAME=CFG,WEIGHTS", f"there are {names.count(twice)} pairs called {twice!r}",
                          f"give them names: {twice}1=CFG,WEIGHTS {twice}2=CFG,WEIGHTS")
    taken = input_files(*(path for one in args.pairs for path in (one.cfg, one.weights)), data=args.data)
    for flag, path in (("--save-json", args.save_json), ("--report", args.report), ("--report", args.report and picture_of(args.report))):
        if path is not None:
            check_output(flag, path, taken)
            taken.add(path.resolve())
    args.threads = prepare_process(threads=args.threads, seed=args.seed)
    networks = [requested_network(_for_one(args, one)) for one in args.pairs]  # all before the first is measured
    pairs = {one.name: measured(_for_one(args, one), one.name, network, timed=timed, verified=verified)
             for one, network in zip(args.pairs, networks, strict=True)}
    rows = {name: one.figures for name, one in pairs.items()}
    print(comparison_table(rows))
    if args.save_json is not None:
        write_json(args.save_json, rows)
        print(f"wrote {args.save_json}")
    if args.report is not None:
        write_page(args, pairs, args.report)
        print(f"wrote {args.report}\n      {picture_of(args.report)}")
    return 0


def _for_one(args: argparse.Namespace, one: Pair) -> argparse.Namespace:
    """The flags as other commands know them, which take --cfg and --weights."""
    return argparse.Namespace(**{**vars(args), "cfg": one.cfg, "weights": one.weights})


def _engines(flag: str, text: str, known: Sequence[str]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise OptionError(flag, f"there is no engine {name!r}", f"choose from {', '.join(known)}")
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
