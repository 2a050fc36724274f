"""--images and --calibration-images: what a network is shown when statistics of it are measured."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli.arguments import letterboxed, positive_int
from utils.errors import DataError, OptionError

if TYPE_CHECKING:
    from utils.darknet import Network
    from utils.datasets import CalibrationImages

_logger = logging.getLogger(__name__)


def calibration_arguments() -> argparse.ArgumentParser:
    """--images and --calibration-images, as a parent parser."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("calibration")
    group.add_argument("--images", metavar="WHAT",
                       help="images without labels: a folder, a list, a pattern in quotes, or the train= of a .data file "
                            "(default: the train= of --data)")
    group.add_argument("--calibration-images", type=positive_int, default=64, metavar="N",
                       help="how many of them to draw")
    return parser


def read_calibration_images(args: argparse.Namespace, network: Network) -> CalibrationImages:
    """The images of --images or of --data's train=, at the size of the network.

    Raises:
        OptionError: neither was given. DataError: there is no image, or none that can be used.
    """
    from utils.datasets import calibration_images

    paths = calibration_paths(args)
    net = network.net
    return calibration_images(paths, args.calibration_images, (net.height, net.width),
                              letterbox=letterboxed(args.letterbox, net.letter_box), channels=net.channels, seed=args.seed)


def images_at_hand(args: argparse.Namespace) -> bool:
    """Whether --images was given, or --data has a train= that exists."""
    if args.images is not None:
        return True
    if args.data is None:
        return False
    from utils.darknet import read_data

    train = read_data(args.data).train
    return train is not None and train.exists()


def check_images_named(args: argparse.Namespace) -> None:
    """OptionError where neither --images nor --data names images to measure on."""
    if args.images is None and args.data is None:
        raise OptionError("--images", "is needed to measure on images", "give a folder of images, or --data")


def calibration_paths(args: argparse.Namespace) -> list[Path]:
    """The files that --images or --data's train= name, each once; missing ones are reported and left out.

    Raises:
        OptionError, DataError: as `read_calibration_images`.
    """
    from utils.datasets import read_image_list

    check_images_named(args)
    source = args.data if args.images is None else args.images
    if Path(source).suffix == ".data" and Path(source).is_file():
        source = _list_of(Path(source))
    missing: list[DataError] = []
    paths = read_image_list(source, problems=missing)
    if not paths:
        raise missing[0]
    if missing:
        _logger.warning("%s; left out%s", missing[0], f", and {len(missing) - 1} more" if len(missing) > 1 else "")
    return list(dict.fromkeys(paths))


def _list_of(data_file: Path) -> Path:
    from utils.darknet import read_data

    train = read_data(data_file).train
    if train is None:
        raise DataError(data_file, "does not say train=", "add it, or give --images a folder of images")
    return train
