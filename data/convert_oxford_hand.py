# PYTHON_ARGCOMPLETE_OK
"""Turn the Oxford (VGG) hand data set into one that Darknet and Bonsai read.

examples:
  python data/convert_oxford_hand.py hand_dataset --out data/hand
      training and validation images become train.txt, test images valid.txt; the images are linked, not copied
  python data/convert_oxford_hand.py hand_dataset --out data/hand --train training --valid validation

The folder holds training_dataset, validation_dataset and test_dataset. Reading its MATLAB files needs scipy
(pip install scipy). Afterwards: python test.py --data data/hand/hand.data ...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as `python data/convert_oxford_hand.py`, from any folder
    sys.path.insert(0, str(ROOT))

from utils.cli import CommandParser, progress_bar, run_command
from utils.cli.conversion import conversion_arguments, write_conversion
from utils.datasets import joined, read_oxford_hand
from utils.datasets.oxford_hand import PARTS


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandParser(description=__doc__, parents=[conversion_arguments()])
    parser.add_argument("folder", type=Path, help="the unpacked folder hand_dataset")
    parser.add_argument("--train", nargs="+", choices=PARTS, default=["training", "validation"],
                        help="parts to train on (default: training validation)")
    parser.add_argument("--valid", nargs="+", choices=PARTS, default=["test"],
                        help="parts to evaluate on (default: test)")
    return parser


def run(args: argparse.Namespace) -> None:
    """Read, write, tell."""
    with progress_bar("reading", None, quiet=args.quiet) as advance:
        parts = {part: joined([read_oxford_hand(args.folder, one, advance=advance) for one in dict.fromkeys(wanted)])
                 for part, wanted in (("train", args.train), ("valid", args.valid))}
    write_conversion(args, parts, [args.folder])


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(run, arguments(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
