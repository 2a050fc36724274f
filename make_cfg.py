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
import logging
import sys
from pathlib import Path

import numpy as np

from utils.atomic import write_text
from utils.cli import CommandParser, basic_arguments, positive_int, run_command
from utils.cli.arguments import seed_argument
from utils.darknet import Net, parse_network, read_data, read_names
from utils.darknet.builder import ARCHITECTURES, COCO_CLASSES, build_cfg
from utils.errors import DataError, OptionError, OutputError
from utils.reports import table
from utils.reports.units import count, file_size

HEADER_BYTES = 20  # of a .weights file
Anchors = list[tuple[float, float]]

_log = logging.getLogger("utils.make_cfg")


def anchor_list(text: str) -> Anchors:
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
    """List the architectures, or write one cfg, or all."""
    if sum((args.list, args.all, args.architecture is not None)) != 1:
        raise OptionError("", "name one architecture", "or use --list or --all alone")
    if args.list:
        sys.stdout.write(_listing() + "\n")
    elif args.all:
        _write_all(args)
    else:
        _write_one(args)
    return 0


def _write_one(args: argparse.Namespace) -> None:
    classes = _classes(args)
    text = build_cfg(
        args.architecture,
        classes=COCO_CLASSES if classes is None else classes,
        width=args.width,
        height=args.height,
        anchors=_anchors(args, classes),
        width_multiple=args.width_multiple,
        round_to=args.round_to,
        channels=args.channels,
        batch=args.batch,
        subdivisions=args.subdivisions,
        max_batches=args.max_batches,
    )
    summary = f"{args.architecture}, {_summary(text)}"
    if args.output is None:
        sys.stdout.write(text)
        _log.info("%s", summary)
    else:
        _write(args.output, text, force=args.force)
        _tell(args, f"{args.output}: {summary}")


def _write_all(args: argparse.Namespace) -> None:
    parser = arguments()
    changed = [name for name, value in vars(args).items()
               if name not in ("all", "output", "force", "verbose", "quiet") and value != parser.get_default(name)]
    if changed:
        raise OptionError("--all", f"writes the COCO cfgs as they are and takes no --{changed[0].replace('_', '-')}",
                          "leave it out, or name one architecture instead of --all")
    if args.output is None or not args.output.is_dir():
        raise OutputError(args.output or "--all", "is no folder" if args.output else "needs a folder to write to",
                          "give one that exists with -o, such as -o cfg")
    texts = {args.output / f"{name}.cfg": build_cfg(name) for name in ARCHITECTURES}
    for path, text in texts.items():  # all are looked at before the first is written
        _check_free(path, text, force=args.force)
    for path, text in texts.items():
        _write(path, text, force=args.force)
        _tell(args, f"{path}: {_summary(text)}")


def _tell(args: argparse.Namespace, remark: str) -> None:
    if not args.quiet:
        sys.stdout.write(remark + "\n")


def _write(path: Path, text: str, *, force: bool) -> None:
    _check_free(path, text, force=force)
    write_text(path, text)


def _check_free(path: Path, text: str, *, force: bool) -> None:
    if not force and path.is_file() and path.read_bytes() != text.encode():
        raise OutputError(path, "is there already", "choose another name, or add --force to overwrite it")


def _classes(args: argparse.Namespace) -> int | None:
    """From --classes, --names and the .data file, which must not contradict each other; None if none says it."""
    said: dict[str, int] = {}
    if args.classes is not None:
        said["--classes"] = args.classes
    if args.names is not None:
        said[str(args.names)] = len(read_names(args.names))
    if args.anchors_from is not None and (of_data := read_data(args.anchors_from).classes) is not None:
        said[str(args.anchors_from)] = of_data
    if len(set(said.values())) > 1:
        raise OptionError("", " but ".join(f"{where} says {number} classes" for where, number in said.items()),
                          "correct one of them")
    return next(iter(said.values()), None)


def _anchors(args: argparse.Namespace, classes: int | None) -> Anchors | None:
    if args.anchors is not None:
        areas = [width * height for width, height in args.anchors]
        if areas != sorted(areas):
            _log.warning("the anchors do not grow from first to last; the first ones go to the head that sees the "
                         "smallest objects")
        return args.anchors
    if args.anchors_from is None:
        if args.anchor_count is not None:
            raise OptionError("--anchor-count", "says how many anchors --anchors-from finds, which is not given",
                              "add --anchors-from FILE.data")
        return None
    return _found_anchors(args, classes)


def _found_anchors(args: argparse.Namespace, classes: int | None) -> Anchors:
    """k-means over the boxes of train=, in pixels of the input that the cfg will have, to a tenth of a pixel."""
    from utils.datasets.anchors import find_anchors  # brings OpenCV along, which the rest does without

    net = parse_network(build_cfg(args.architecture, width=args.width, height=args.height)).net
    wanted = args.anchor_count or len(ARCHITECTURES[args.architecture].anchors)
    build_cfg(args.architecture, anchors=[(1, 1)] * wanted)  # refuses a count that no head could use, before the work
    found = find_anchors(_box_sizes(args.anchors_from, classes, net), wanted, (net.width, net.height), seed=args.seed)
    _log.info("%d anchors for %d boxes: mean IoU %.3f, and %.1f %% of the boxes reach %.2f", wanted, found.boxes,
              found.mean_iou, 100 * found.recall, found.threshold)
    return [(max(0.1, round(float(width), 1)), max(0.1, round(float(height), 1))) for width, height in found.anchors]


def _box_sizes(data_file: Path, classes: int | None, net: Net) -> np.ndarray:
    """(n, 2) sizes of all boxes of train=, relative to the network's input, as training will see them."""
    from utils.datasets.anchors import box_sizes_in
    from utils.datasets.detection_dataset import DetectionDataset

    data = read_data(data_file)
    if data.train is None:
        raise DataError(data_file, "has no train=", "add train= with the list of your training images")
    problems: list[DataError] = []
    dataset = DetectionDataset.read(data.train, classes, problems=problems)
    if problems:
        _log.warning("%d lines were left out; the first: %s", len(problems), problems[0])
    images = dataset.sizes() if net.letter_box else np.zeros((len(dataset), 2), np.int32)
    return box_sizes_in((net.width, net.height), dataset.labels, images, letterbox=net.letter_box)


def _summary(text: str) -> str:
    """`3 classes, 416x416x3, 5.88 M parameters, 6.79 BFLOPs, 23.52 MB of weights`."""
    network = parse_network(text)
    shape = network.input_shape
    return (f"{network.heads[0].options.classes} classes, {shape.width}x{shape.height}x{shape.channels}, "
            f"{count(network.parameters)} parameters, {network.bflops:.3f} BFLOPs, "
            f"{file_size(HEADER_BYTES + 4 * network.parameters)} of weights")


def _listing() -> str:
    rows = []
    for name, architecture in ARCHITECTURES.items():
        network = parse_network(build_cfg(name))
        rows.append((name, f"{architecture.width}x{architecture.height}", len(architecture.heads),
                     len(architecture.anchors), count(network.parameters), f"{network.bflops:.3f}",
                     architecture.description))
    return table(rows, ("name", "input", "heads", "anchors", "parameters", "BFLOPs", "what it is"))


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    return run_command(run, arguments(), argv)


if __name__ == "__main__":
    raise SystemExit(main())
