#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Put several pairs of .cfg and .weights side by side: mAP, size, cost and speed, on the same images and threads.

    python compare.py --data data/my.data baseline=cfg/my.cfg,weights/best.weights \\
        pruned=cfg/prune_0.6_my.cfg,weights/prune_0.6_best.weights

A pair is NAME=CFG,WEIGHTS, or CFG,WEIGHTS. mAP is measured with --engine; one image's latency in every engine of
--latency that can run the pair.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.cli import CommandParser, common_arguments, data_arguments, engine_argument, positive_int, run_command
from utils.cli.arguments import ENGINES, network_size_argument
from utils.errors import EngineError, OptionError

if TYPE_CHECKING:
    from utils.darknet import Network


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
    engine_argument(parser)
    parser.add_argument("--latency", default="torch,opencv", metavar="NAMES",
                        help="engines to time, separated by commas; an engine that cannot run a pair leaves a gap")
    parser.add_argument("--repeats", type=positive_int, default=20, metavar="N", help="runs of the latency measurement")
    parser.add_argument("--save-json", "--json", type=Path, metavar="FILE", help="write all that was found to FILE as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure every pair, and print one table."""
    from utils.cli.device import prepare_process
    from utils.cli.engines import requested_network
    from utils.cli.outputs import check_output, input_files
    from utils.reports import comparison_table, write_json

    engines = [name.strip() for name in args.latency.split(",") if name.strip()]
    for name in engines:
        if name not in ENGINES:
            raise OptionError("--latency", f"there is no engine {name!r}", f"choose from {', '.join(ENGINES)}")
    names = [one.name for one in args.pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError("NAME=CFG,WEIGHTS", f"there are {names.count(twice)} pairs called {twice!r}",
                          f"give them names: {twice}1=CFG,WEIGHTS {twice}2=CFG,WEIGHTS")
    if args.save_json is not None:
        read = (path for one in args.pairs for path in (one.cfg, one.weights))
        check_output("--save-json", args.save_json, input_files(*read, data=args.data))
    args.threads = prepare_process(threads=args.threads, seed=args.seed)
    networks = [requested_network(_for_one(args, one)) for one in args.pairs]  # all before the first is measured
    rows = {one.name: _figures(_for_one(args, one), one, network, engines)
            for one, network in zip(args.pairs, networks, strict=True)}
    print(comparison_table(rows))
    if args.save_json is not None:
        write_json(args.save_json, rows)
        print(f"wrote {args.save_json}")
    return 0


def _for_one(args: argparse.Namespace, one: Pair, **changes: object) -> argparse.Namespace:
    """The flags as other commands know them, which take --cfg and --weights."""
    return argparse.Namespace(**{**vars(args), "cfg": one.cfg, "weights": one.weights, **changes})


def _figures(args: argparse.Namespace, one: Pair, network: Network, engines: Sequence[str]) -> dict[str, Any]:
    """What `comparison_table` shows of a pair; `args` are those for this one."""
    from utils.cli import letterboxed, progress_bar
    from utils.cli.engines import open_requested_engine
    from utils.cli.validation import validation_set
    from utils.deploy import measure, random_images
    from utils.training import HeadDecoder, evaluate_engine

    dataset = validation_set(args.data, HeadDecoder(network).classes)
    with progress_bar(f"evaluating {one.name}", len(dataset), quiet=args.quiet) as advance:
        metrics = evaluate_engine(open_requested_engine(args, network), network, dataset,
                                  letterbox=letterboxed(args.letterbox, network.net.letter_box),
                                  batch_size=args.batch_size, workers=args.workers, advance=advance).metrics
    figures: dict[str, float | None] = {"map50": metrics.map50_coco, "map": metrics.map, "f1": metrics.f1, "parameters": network.parameters,
               "gflops": network.bflops, "file_bytes": one.weights.stat().st_size}
    shape = network.input_shape
    x = random_images(1, shape.channels, shape.height, shape.width, args.seed)
    for name in engines:
        try:
            device = args.device if name == "torch" else "auto"  # --device is torch's; others run on the CPU
            engine = open_requested_engine(_for_one(args, one, engine=name, device=device), network)
        except EngineError:
            figures[f"{name}_ms"] = None
            continue
        figures[f"{name}_ms"] = measure(engine, x, repeats=args.repeats).median_ms
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
