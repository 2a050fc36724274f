#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Check that other engines compute from a cfg and its weights what Bonsai computes.

    python verify.py --cfg prune_0.5_keep_0.01_my.cfg --weights prune_0.5_keep_0.01_my.weights

Both files are read back from disk and run in torch and in each --engine; compared is what enters every detection head,
on random images or on --images. Two differences are printed, both as shares of the head's range: "same epsilon", which
the verdict is about, and "as deployed", where the engine uses the batch-norm epsilon of its own. An engine that cannot
run the cfg says why; if none of those asked for can, another one takes its place.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import CommandParser, letterboxed, model_arguments, positive_int, run_command
from utils.cli.arguments import letterbox_argument
from utils.cli.exit_codes import exit_codes

if TYPE_CHECKING:
    import numpy as np

    from utils.darknet import Network

_VISIBLE = 1e-2  # of a head's range: boxes and scores change


def make_parser() -> CommandParser:
    """The flags of this command."""
    parser = CommandParser(prog="verify.py", description=__doc__, parents=[model_arguments()], epilog=exit_codes(
        done="verified", bad_input="an engine disagrees, none but torch could run the pair, or the input makes no sense"))
    group = parser.add_argument_group("verification")
    group.add_argument("--engine", "--engines", type=_names, default=("opencv", "onnxruntime"), metavar="NAMES",
                       help="opencv, onnxruntime, darknet (Debian's package), separated by commas "
                            "(default: opencv,onnxruntime)")
    group.add_argument("--images", metavar="WHAT",
                       help="images without labels: an image, a folder, a list, or a pattern in quotes (default: random ones)")
    group.add_argument("--limit", type=positive_int, default=8, metavar="N", help="use so many of the images")
    letterbox_argument(group)
    group.add_argument("--tolerance", type=_positive, default=1e-4, metavar="SHARE",
                       help="largest difference allowed with the same epsilon, as a share of the head's range")
    group.add_argument("--save-json", "--json", type=Path, metavar="FILE", help="write all that was found to FILE as JSON")
    return parser


def run(args: argparse.Namespace) -> int:
    """Compare, and print a table."""
    from utils.cli.outputs import check_output, input_files
    from utils.darknet import read_network  # torch takes a second: --help should not wait for it
    from utils.deploy import compare_pair
    from utils.errors import EngineError, OptionError, VerificationError
    from utils.reports import verification_table, write_json

    if args.device not in ("auto", "cpu"):
        raise OptionError("--device", f"{args.device}: engines are compared on the CPU", "leave --device out")
    network = read_network(args.cfg)
    if args.save_json is not None:
        check_output("--save-json", args.save_json, input_files(args.cfg, args.weights, args.images and Path(args.images)))
    if args.img_size is not None:
        network = network.resized(*args.img_size)
    report = compare_pair(args.cfg, args.weights, _images(args, network), args.engine, args.tolerance,
                          threads=args.threads)
    if args.save_json is not None:
        write_json(args.save_json, report.to_dict())
    print(verification_table(report.to_dict()))
    for verdict in report.engines:
        if verdict.heads and verdict.own_relative is not None and verdict.own_relative > _VISIBLE:
            print(f"{verdict.title}: its own batch-norm epsilon moves the heads by {verdict.own_relative:.1e} of their "
                  "range; weights from utils.deploy.engine_neutral (--engine-neutral when pruning) do not care")
    if report.status == "differs":
        raise VerificationError(report.cfg, report.reason, "do not deploy this pair")
    if report.status == "not verified":
        raise EngineError(report.cfg, "not verified: no other engine could run it (reasons above)",
                          "install an engine, or change the cfg")
    print(report)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, make_parser(), argv)


def _images(args: argparse.Namespace, network: Network) -> np.ndarray:
    """(N, C, H, W) float32: the pictures asked for as the network sees them, or two random ones."""
    import numpy as np

    from utils.deploy import random_images

    shape = network.input_shape
    if args.images is None:
        return random_images(2, shape.channels, shape.height, shape.width, args.seed)
    from utils.datasets.images import load_image, prepare
    from utils.datasets.lists import read_image_list

    letterbox = letterboxed(args.letterbox, network.net.letter_box)
    return np.stack([
        prepare(load_image(path), (shape.height, shape.width), letterbox, channels=shape.channels)[0]
        for path in read_image_list(args.images)[: args.limit]
    ])


def _names(text: str) -> tuple[str, ...]:
    """argparse type: engines separated by commas."""
    known = ("opencv", "onnxruntime", "darknet")
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise argparse.ArgumentTypeError(f"{text!r} names no engine that could check torch; write {','.join(known)}")
    return names


def _positive(text: str) -> float:
    """argparse type: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; write 1e-4") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0; write 1e-4")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
