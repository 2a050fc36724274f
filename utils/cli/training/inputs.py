"""From --cfg, --arch, --data and --weights to a network and its data, checked against each other."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path

from utils.cli.arguments import letterboxed
from utils.darknet import (
    DataFile,
    Net,
    Network,
    line_of,
    lines_for_classes,
    parse_network,
    read_data,
    read_names,
    read_network,
)
from utils.darknet.builder import ARCHITECTURES, build_cfg
from utils.errors import CfgError, DataError, OptionError, SourceLine
from utils.wording import counted

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingInputs:
    """What a training is about: the network at its input size, and data that fits it."""

    network: Network
    cfg_name: str
    data: DataFile
    train: Path
    valid: Path
    names: tuple[str, ...]


def training_inputs(args: argparse.Namespace, network: Network | None = None) -> TrainingInputs:
    """Read and check what the flags name.

    Args:
        network: of the run that is resumed; otherwise --cfg, --arch or the checkpoint of --weights says it.

    Raises:
        OptionError: flags are missing or contradict each other. CfgError, DataError, WeightsError: a file makes no
            sense, or cfg and data are for different classes; the message says which line to change.
    """
    if args.data is None:
        raise OptionError("--data", "is missing", "name a .data file with the lines classes=, train=, valid= and names=")
    data = read_data(args.data)
    train, valid = _said(data, "train"), _said(data, "valid")
    names = read_names(_said(data, "names"))
    if data.classes is not None and data.classes != len(names):
        raise DataError(data.path, f"says classes={data.classes}, but {data.names} has {counted(len(names), 'name')}",
                        f"write classes={len(names)}, or correct the names")
    if network is None:
        network = _network(args, data, len(names))
        if args.img_size is not None:
            network = network.resized(*args.img_size)
    _check_classes(network, len(names), data.path)
    name = f"{args.arch}.cfg" if args.cfg is None and args.arch else Path(network.path).name
    return TrainingInputs(network, name if name.endswith(".cfg") else f"{Path(name).stem}.cfg", data, train,
                          valid, names)


def keeps_shape(args: argparse.Namespace, net: Net) -> bool:
    """Whether the images of this training keep their shape in the network's input."""
    return bool(args.rect) or letterboxed(args.letterbox, net.letter_box)


def _said(data: DataFile, key: str) -> Path:
    path: Path | None = getattr(data, key)
    if path is None:
        raise DataError(data.path, f"does not say {key}=", f"add for example {key}=data/{_EXAMPLES[key]}")
    return path


_EXAMPLES = {"train": "train.txt", "valid": "valid.txt", "names": "my.names"}


def _network(args: argparse.Namespace, data: DataFile, classes: int) -> Network:
    from models import is_checkpoint, load_checkpoint

    if args.cfg is not None and args.arch is not None:
        raise OptionError("--arch", "writes a cfg, and --cfg names one", "give one of the two")
    if args.cfg is not None:
        return read_network(args.cfg)
    if args.arch is not None:
        return _built(args, data, classes)
    if args.weights is not None and is_checkpoint(args.weights):
        checkpoint = load_checkpoint(args.weights)
        if checkpoint.cfg is not None:
            return checkpoint.network()
    raise OptionError("--cfg", "is missing", "give a .cfg, or --arch yolov4-tiny to have one made for your data")


def _built(args: argparse.Namespace, data: DataFile, classes: int) -> Network:
    """A cfg for the data: its classes, and anchors by k-means over the boxes of train=."""
    from utils.cli.found_anchors import found_anchors

    height, width = args.img_size or (None, None)
    net = parse_network(build_cfg(args.arch, classes=classes, width=width, height=height)).net
    _logger.info("%s for %d classes", args.arch, classes)
    anchors = found_anchors(_said(data, "train"), classes, len(ARCHITECTURES[args.arch].anchors), net,
                            letterbox=keeps_shape(args, net), seed=args.seed)
    text = build_cfg(args.arch, classes=classes, width=width, height=height, anchors=anchors,
                     width_multiple=args.width_multiple)
    return parse_network(text, f"{args.arch}.cfg")


def _check_classes(network: Network, classes: int, data: Path) -> None:
    """CfgError where the heads know other classes than the data, with every line that would have to change."""
    if not network.heads:
        raise CfgError(network.path, "has no [yolo] or [region] head, so it cannot learn to detect",
                       "give the cfg of a detector")
    wrong = [head for head in network.heads if head.options.classes != classes]
    if not wrong:
        return
    changes = [f"line {line}: {option}" for line, option in lines_for_classes(network, classes).items()]
    head = wrong[0]
    raise CfgError(SourceLine(network.path, line_of(network, head.index, "classes")),
                   f"the head knows {counted(head.options.classes, 'class')}, {data} has {classes}",
                   "change " + ", ".join(changes) + ", or let --arch make a cfg")
