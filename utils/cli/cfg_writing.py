"""The work of make_cfg.py: one cfg for a user's classes, size and boxes, all of them as they ship, or a list."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.atomic import write_text
from utils.darknet import parse_network, read_data, read_names
from utils.darknet.builder import ARCHITECTURES, COCO_CLASSES, build_cfg
from utils.errors import DataError, OptionError, OutputError
from utils.reports import table
from utils.reports.units import count, file_size
from utils.wording import counted

HEADER_BYTES = 20  # of a .weights file

_logger = logging.getLogger(__name__)


def write_cfgs(args: argparse.Namespace, defaults: Mapping[str, Any]) -> int:
    """List the architectures, or write one cfg, or all.

    Args:
        defaults: of the flags, most of which --all does not take.

    Raises:
        OptionError: flags contradict each other, or no architecture takes them. DataError: what --names or --anchors-from
            names cannot be used. OutputError: a file is there already, or cannot be written.
    """
    if sum((args.list, args.all, args.architecture is not None)) != 1:
        raise OptionError("", "name one architecture", "or use --list or --all alone")
    if args.list:
        sys.stdout.write(_listing() + "\n")
    elif args.all:
        _write_all(args, defaults)
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
        _logger.info("%s", summary)
    else:
        _write(args.output, text, force=args.force)
        _tell(args, f"{args.output}: {summary}")


def _write_all(args: argparse.Namespace, defaults: Mapping[str, Any]) -> None:
    changed = [name for name, value in vars(args).items()
               if name not in ("all", "output", "force", "verbose", "quiet") and value != defaults[name]]
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
        raise OptionError("", " but ".join(f"{where} says {counted(number, 'class')}" for where, number in said.items()),
                          "correct one of them")
    return next(iter(said.values()), None)


def _anchors(args: argparse.Namespace, classes: int | None) -> list[tuple[float, float]] | None:
    if args.anchors is not None:
        areas = [width * height for width, height in args.anchors]
        if areas != sorted(areas):
            _logger.warning("the anchors do not grow from first to last; the first ones go to the head that sees the "
                            "smallest objects")
        return list(args.anchors)
    if args.anchors_from is not None:
        return _anchors_of_boxes(args, classes)
    if args.anchor_count is not None:
        raise OptionError("--anchor-count", "says how many anchors --anchors-from finds, which is not given",
                          "add --anchors-from FILE.data")
    return None


def _anchors_of_boxes(args: argparse.Namespace, classes: int | None) -> list[tuple[float, float]]:
    net = parse_network(build_cfg(args.architecture, width=args.width, height=args.height)).net
    wanted = args.anchor_count or len(ARCHITECTURES[args.architecture].anchors)
    build_cfg(args.architecture, anchors=[(1, 1)] * wanted)  # refuses a count that no head could use, before the work
    data = read_data(args.anchors_from)
    if data.train is None:
        raise DataError(args.anchors_from, "has no train=", "add train= with the list of your training images")

    from utils.cli.found_anchors import found_anchors  # brings OpenCV along, which the rest does without

    return found_anchors(data.train, classes, wanted, net, letterbox=net.letter_box, seed=args.seed)


def _summary(text: str) -> str:
    """`3 classes, 416x416x3, 5.88 M parameters, 6.79 BFLOPs, 23.52 MB of weights`."""
    network = parse_network(text)
    shape = network.input_shape
    return (f"{counted(network.heads[0].options.classes, 'class')}, {shape.width}x{shape.height}x{shape.channels}, "
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
