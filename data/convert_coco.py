# PYTHON_ARGCOMPLETE_OK
"""Turn COCO annotations (JSON) into a data set that Darknet and Bonsai read.

examples:
  python data/convert_coco.py --train annotations/instances_train2017.json train2017 \\
                              --valid annotations/instances_val2017.json val2017 \\
                              --names data/coco.names --out data/coco
      COCO itself, with the class names that Darknet's models use; the images are linked, not copied
  python data/convert_coco.py --train mine.json photos --out data/mine --images copy --save-json dropped.json
      an export of a labelling tool; dropped.json tells every box that was left out, and why

Boxes around crowds (iscrowd) are left out. Afterwards: python test.py --data data/coco/coco.data ...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as `python data/convert_coco.py`, from any folder
    sys.path.insert(0, str(ROOT))

from utils.cli import CommandParser, progress_bar, run_command
from utils.cli.conversion import conversion_arguments, write_conversion


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandParser(description=__doc__, parents=[conversion_arguments()])
    parser.add_argument("--train", nargs=2, type=Path, required=True, metavar=("JSON", "DIR"),
                        help="annotation file, and the folder of its images")
    parser.add_argument("--valid", nargs=2, type=Path, metavar=("JSON", "DIR"),
                        help="the same for validation (default: that of --train)")
    parser.add_argument("--names", type=Path, metavar="FILE", help="class names (.names), one per line: some of the "
                        "file's categories, or new names for all in the order of their ids (default: as they are)")
    return parser


def run(args: argparse.Namespace) -> None:
    """Read, write, tell."""
    from utils.darknet import read_names
    from utils.datasets import read_coco

    sources = {"train": args.train, **({"valid": args.valid} if args.valid else {})}
    names = read_names(args.names) if args.names else None
    apart = len({folder.resolve() for _, folder in sources.values()}) > 1
    with progress_bar("reading", None, quiet=args.quiet) as advance:
        parts = {part: read_coco(json, folder, names, prefix=folder.resolve().name if apart else "", advance=advance)
                 for part, (json, folder) in sources.items()}
    write_conversion(args, parts, [folder for _, folder in sources.values()])


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(run, arguments(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
