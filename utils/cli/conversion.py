"""What the converters in data/ share: their output flags, and writing and telling what was converted."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli.arguments import basic_arguments
from utils.cli.progress import progress_bar

if TYPE_CHECKING:
    from utils.datasets import Annotations


def conversion_arguments() -> argparse.ArgumentParser:
    """--out, --images, --paths, --overwrite, --save-json, -v, -q, --version, as a parent parser."""
    parser = argparse.ArgumentParser(add_help=False, parents=[basic_arguments()])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write; its name becomes that of the .data file")
    parser.add_argument("--images", choices=("link", "copy", "reference"), default="link", help="link, or copy, images "
                        "into OUT/images; or leave them where they are and write labels beside them (as Darknet needs)")
    parser.add_argument("--paths", choices=("absolute", "relative"), default="absolute", help="in the lists; relative "
                        "ones start at OUT, which can then be moved")
    parser.add_argument("--overwrite", action="store_true", help="with --images reference: replace other label files")
    parser.add_argument("--save-json", "--json", type=Path, metavar="FILE",
                        help="write all that was found to FILE as JSON, with every image and box that was left out")
    return parser


def write_conversion(args: argparse.Namespace, parts: Mapping[str, Annotations], sources: Sequence[Path]) -> None:
    """Write YOLO files for the parts (`train`, `valid`), and say what was dropped and why.

    Raises:
        BonsaiError: as `utils.datasets.write_yolo`; or the report cannot be written.
    """
    from utils.datasets import conversion_record, conversion_text, write_yolo
    from utils.reports import table, write_json

    total = len({image.path for part in parts.values() for image in part.images})
    with progress_bar("writing", total, quiet=args.quiet) as advance:
        files = write_yolo(parts, args.out, sources=sources, images=args.images, paths=args.paths,
                           overwrite=args.overwrite, advance=advance)
    if args.save_json:
        write_json(args.save_json, conversion_record(parts, files))
    if not args.quiet:
        print(conversion_text(parts, files, table))
