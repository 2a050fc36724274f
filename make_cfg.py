# PYTHON_ARGCOMPLETE_OK
"""Write the cfg of a detector for your own classes, input size, anchors and width.

examples:
  python make_cfg.py --list
      the architectures
  python make_cfg.py yolov4-tiny --classes 3 -o cfg/mine.cfg
      three classes; filters, max_batches and steps follow
  python make_cfg.py yolov4-tiny --names data/mine.names --width 512 --height 320 -o cfg/mine.cfg
      as many classes as the file has names; 512 wide, 320 high (multiples of 32)
  python make_cfg.py yolov4-tiny --anchors-from data/mine.data -o cfg/mine.cfg
      anchors from the boxes of your training images (k-means), classes from the .data file
  python make_cfg.py yolov3 --width-multiple 0.25 -o cfg/yolov3-quarter.cfg
      a quarter of the filters everywhere but in the heads, in multiples of 8
  python make_cfg.py yolov3-tiny
      without -o the cfg goes to the console
  python make_cfg.py --all -o cfg --force
      the COCO cfgs that come with this project, as they were

With nothing but a name you get the official COCO network, and the published weights fit it (weights/download.sh).
For your own classes, start training from a backbone such as yolov4-tiny.conv.29.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from utils.cli import CommandParser, basic_arguments, positive_int, run_command
from utils.cli.arguments import seed_argument


def anchor_list(text: str) -> list[tuple[float, float]]:
    """argparse type: `10,14, 23,27` -> [(10, 14), (23, 27)], pixels."""
    try:
        numbers = [float(word) for word in text.replace(",", " ").split()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} are not numbers; write width,height,width,height,...") from None
    if not numbers or len(numbers) % 2:
        raise argparse.ArgumentTypeError(f"{len(numbers)} numbers are no pairs; write width,height,width,height,...")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def arguments() -> argparse.ArgumentParser:
    """The flags of this command."""
    parser = CommandParser(prog="make_cfg.py", description=__doc__, parents=[basic_arguments()])
    parser.add_argument("architecture", nargs="?", metavar="ARCHITECTURE", help="a name from --list")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the cfg to write (with --all: a folder)")
    parser.add_argument("--force", action="store_true", help="overwrite what is there")
    parser.add_argument("--list", action="store_true", help="show the architectures and their sizes")
    parser.add_argument("--all", action="store_true", help="write all architectures with their COCO defaults")

    network = parser.add_argument_group("network")
    network.add_argument("--classes", type=positive_int, metavar="N",
                         help="kinds of objects (default: as --names or --anchors-from say, else 80)")
    network.add_argument("--names", type=Path, metavar="FILE", help="class names (.names), one per line; they are counted")
    network.add_argument("--width", type=positive_int, metavar="PIXELS", help="of the input, a multiple of 32")
    network.add_argument("--height", type=positive_int, metavar="PIXELS", help="of the input (default: as the width)")
    network.add_argument("--channels", type=positive_int, default=3, metavar="N", help="of the input image")
    network.add_argument("--width-multiple", type=float, default=1.0, metavar="X",
                         help="scale the filters of all convolutions but those of the heads; 0.5 is half")
    network.add_argument("--round-to", type=positive_int, default=8, metavar="N",
                         help="scaled filters are multiples of this")
    anchors = network.add_mutually_exclusive_group()
    anchors.add_argument("--anchors", type=anchor_list, metavar="W,H,...",
                         help="sizes in pixels of the input, smallest first, equally many for each head")
    anchors.add_argument("--anchors-from", type=Path, metavar="FILE.data",
                         help="find anchors by k-means over the boxes of train= in this .data file")
    network.add_argument("--anchor-count", type=positive_int, metavar="N",
                         help="how many --anchors-from finds (default: as many as the architecture has)")
    seed_argument(network)

    training = parser.add_argument_group("training in Darknet")
    training.add_argument("--batch", type=positive_int, default=64, metavar="N", help="images per iteration")
    training.add_argument("--subdivisions", type=positive_int, metavar="N",
                          help="parts that a batch is computed in; more need less memory")
    training.add_argument("--max-batches", type=positive_int, metavar="N",
                          help="iterations (default: 2000 per class, at least 6000; for 80 classes as for COCO)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Write."""
    from utils.cli.cfg_writing import write_cfgs

    return write_cfgs(args, vars(arguments().parse_args([])))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, arguments(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
