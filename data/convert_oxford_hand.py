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
from utils.datasets import conversion_record, conversion_text, joined, read_oxford_hand, write_yolo
from utils.datasets.oxford_hand import PARTS
from utils.reports import table, write_json


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the unpacked folder hand_dataset")
    parser.add_argument("--train", nargs="+", choices=PARTS, default=["training", "validation"],
                        help="parts to train on (default: training validation)")
    parser.add_argument("--valid", nargs="+", choices=PARTS, default=["test"],
                        help="parts to evaluate on (default: test)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; names the .data file")
    parser.add_argument("--images", choices=("link", "copy", "reference"), default="link", help="link, or copy, images "
                        "into OUT/images; or leave them where they are and write labels beside them (as Darknet needs)")
    parser.add_argument("--paths", choices=("absolute", "relative"), default="absolute", help="in the lists; relative "
                        "ones start at OUT, which can then be moved")
    parser.add_argument("--overwrite", action="store_true", help="with --images reference: replace other label files")
    parser.add_argument("--report", type=Path, metavar="FILE", help="JSON with every image and box that was left out")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no tables")
    return parser


def run(args: argparse.Namespace) -> None:
    """Read, write, tell."""
    with progress_bar("reading", None, quiet=args.quiet) as advance:
        parts = {part: joined([read_oxford_hand(args.folder, one, advance=advance) for one in dict.fromkeys(wanted)])
                 for part, wanted in (("train", args.train), ("valid", args.valid))}
    total = sum(len(part.images) for part in parts.values())
    with progress_bar("writing", total, quiet=args.quiet) as advance:
        files = write_yolo(parts, args.out, sources=[args.folder], images=args.images, paths=args.paths,
                           overwrite=args.overwrite, advance=advance)
    if args.report:
        write_json(args.report, conversion_record(parts, files))
    if not args.quiet:
        print(conversion_text(parts, files, table))


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(run, arguments(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
