# PYTHON_ARGCOMPLETE_OK
"""Draw a small data set of coloured shapes, to try everything without a download.

examples:
  python data/draw_demo.py
      200 images in data/demo, and data/demo/demo.data
  python data/draw_demo.py --out data/tiny --images 40 --size 96 --classes circle cross --seed 7

The same seed gives the same files, byte by byte.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as `python data/draw_demo.py`, from any folder
    sys.path.insert(0, str(ROOT))

from utils.cli import CommandParser, basic_arguments, fraction, positive_int, progress_bar, run_command
from utils.cli.arguments import seed_argument
from utils.datasets import SHAPES, generate


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandParser(description=__doc__, parents=[basic_arguments()])
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "demo", metavar="DIR", help="folder to write")
    parser.add_argument("--images", type=positive_int, default=200, metavar="N", help="how many")
    parser.add_argument("--size", type=positive_int, nargs="+", default=[128, 256], metavar="PIXELS",
                        help="width and height; with two numbers, each side is drawn in between (default: 128 256)")
    parser.add_argument("--classes", nargs="+", choices=tuple(SHAPES), default=["circle", "square", "triangle"],
                        metavar="SHAPE", help=f"from {', '.join(SHAPES)} (default: circle square triangle)")
    seed_argument(parser)
    parser.add_argument("--valid-share", type=fraction, default=0.2, metavar="SHARE",
                        help="part that goes to valid.txt")
    parser.add_argument("--paths", choices=("absolute", "relative"), default="relative", help="in the lists; relative "
                        "ones start at OUT, which can then be moved; Darknet wants absolute ones")
    return parser


def run(args: argparse.Namespace) -> None:
    """Draw, and tell where."""
    size = (args.size[0], args.size[-1])
    with progress_bar("drawing", args.images, quiet=args.quiet) as advance:
        data = generate(args.out, args.images, size, args.classes, args.seed, valid_share=args.valid_share,
                        paths=args.paths, advance=advance)
    if not args.quiet:
        print(f"{data}: {args.images} images of {' '.join(args.classes)}")


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(run, arguments(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
