# PYTHON_ARGCOMPLETE_OK
"""Turn Pascal VOC folders (XML files) into a data set that Darknet and Bonsai read.

examples:
  python data/convert_voc.py VOCdevkit/VOC2007 --train trainval --valid test --out data/voc
      lists, labels and voc.data; the images are linked, not copied
  python data/convert_voc.py VOCdevkit/VOC2007 VOCdevkit/VOC2012 --train trainval --valid test --out data/voc
      both years; a set that one of them does not have (VOC2012 has no test) is taken from the others
  python data/convert_voc.py mine --train all --out data/mine --names mine.names --images copy
      every file in mine/Annotations; classes in the order of mine.names; images copied

Each folder holds Annotations, JPEGImages and ImageSets/Main. Afterwards: python test.py --data data/voc/voc.data ...
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as `python data/convert_voc.py`, from any folder
    sys.path.insert(0, str(ROOT))

from utils.cli import CommandParser, progress_bar, run_command
from utils.cli.conversion import conversion_arguments, write_conversion
from utils.errors import DataError

if TYPE_CHECKING:
    from utils.datasets import Annotations

_log = logging.getLogger("utils.convert_voc")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = CommandParser(description=__doc__, parents=[conversion_arguments()])
    parser.add_argument("folder", type=Path, nargs="+", help="VOC folder, for example VOCdevkit/VOC2007")
    parser.add_argument("--train", default="trainval", metavar="SET", help="image set, or all")
    parser.add_argument("--valid", metavar="SET", help="image set (default: the images of --train)")
    parser.add_argument("--names", type=Path, metavar="FILE", help="class names (.names), one per line, in the order "
                        "wanted (default: all that occur, sorted; for VOC itself that is its usual order)")
    parser.add_argument("--difficult", choices=("skip", "keep"), default="skip",
                        help="objects marked as difficult; a label file cannot mark them")
    parser.add_argument("--pixels", choices=("darknet", "exact"), default="darknet", help="darknet: as its "
                        "voc_label.py, with which its VOC models were trained; exact: as VOC defines it")
    return parser


def run(args: argparse.Namespace) -> None:
    """Read, write, tell."""
    from utils.darknet import read_names

    sets = {"train": args.train, **({"valid": args.valid} if args.valid else {})}
    names = read_names(args.names) if args.names else _names(args.folder, set(sets.values()))
    with progress_bar("reading", None, quiet=args.quiet) as advance:
        parts = {part: _read(args, image_set, names, advance) for part, image_set in sets.items()}
    write_conversion(args, parts, args.folder)


def _read(args: argparse.Namespace, image_set: str, names: Sequence[str],
          advance: Callable[[int], object]) -> Annotations:
    """One image set from all folders that have it."""
    from utils.datasets import joined, read_voc

    found = []
    for folder in args.folder:
        if not _has(folder, image_set) and any(_has(other, image_set) for other in args.folder):
            _log.info("%s has no image set %s", folder, image_set)
            continue
        found.append(read_voc(folder, image_set, names, difficult=args.difficult, pixels=args.pixels,
                              prefix=folder.resolve().name if len(args.folder) > 1 else "", advance=advance))
    return joined(found)


def _names(folders: Sequence[Path], image_sets: set[str]) -> tuple[str, ...]:
    from utils.datasets import voc_names

    names = {name for folder in folders
             for name in voc_names(folder, [one for one in image_sets if _has(folder, one) or len(folders) == 1])}
    if not names:
        raise DataError(folders[0], "has no objects with names", "give --names")
    return tuple(sorted(names))


def _has(folder: Path, image_set: str) -> bool:
    return image_set == "all" or (folder / "ImageSets" / "Main" / f"{image_set}.txt").is_file()


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(run, arguments(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
