"""Turn COCO annotations (JSON) into a data set that Darknet and Bonsai read.

examples:
  python data/convert_coco.py --train annotations/instances_train2017.json train2017 \\
                              --valid annotations/instances_val2017.json val2017 \\
                              --names data/coco.names --out data/coco
      COCO itself, with the class names that Darknet's models use; the images are linked, not copied
  python data/convert_coco.py --train mine.json photos --out data/mine --images copy --report dropped.json
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
from utils.darknet import read_names
from utils.datasets import conversion_record, conversion_text, read_coco, write_yolo
from utils.reports import table, write_json


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--train", nargs=2, type=Path, required=True, metavar=("JSON", "DIR"),
                        help="annotation file, and the folder of its images")
    parser.add_argument("--valid", nargs=2, type=Path, metavar=("JSON", "DIR"),
                        help="the same for validation (default: that of --train)")
    parser.add_argument("--names", type=Path, metavar="FILE", help="classes: some of the file's categories, or new "
                        "names for all of them in the order of their ids (default: the categories as they are)")
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
    sources = {"train": args.train, **({"valid": args.valid} if args.valid else {})}
    names = read_names(args.names) if args.names else None
    apart = len({folder.resolve() for _, folder in sources.values()}) > 1
    with progress_bar("reading", None, quiet=args.quiet) as advance:
        parts = {part: read_coco(json, folder, names, prefix=folder.resolve().name if apart else "", advance=advance)
                 for part, (json, folder) in sources.items()}
    total = sum(len(part.images) for part in parts.values())
    with progress_bar("writing", total, quiet=args.quiet) as advance:
        files = write_yolo(parts, args.out, sources=[folder for _, folder in sources.values()], images=args.images,
                           paths=args.paths, overwrite=args.overwrite, advance=advance)
    if args.report:
        write_json(args.report, conversion_record(parts, files))
    if not args.quiet:
        print(conversion_text(parts, files, table))


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(run, arguments(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
