"""Checks of the images and labels of one list: is all there, do labels mean something, do sizes fit the network."""

from __future__ import annotations

import os
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.cli.doctor.commands import Files, delete_lines, delete_lines_of, open_at, python
from utils.cli.doctor.finding import Finding, attempted, collected_warnings, fine, look, one_line, wrong
from utils.darknet import Network
from utils.datasets import ImageScan, scan_images
from utils.datasets.images import is_image_name
from utils.datasets.label_cache import label_files
from utils.datasets.lists import read_lines
from utils.errors import DataError, SourceLine
from utils.wording import counted

CALIBRATION = 64  # images that a repair asks for; --calibration-images of the pruning commands
TINY = 32  # pixels: a shorter side than the coarsest head's stride
LONG = 4.0  # width against height, or the other way round
STRETCH = 1.5  # by which most images may be distorted without a word
_SMALL_BOX = 4.0  # pixels of the network's input
_MANY = 0.05  # of all boxes
_FEW = 20  # lines of a list


def scan_list(key: str, source: Path, classes: int | None,
              advance: Callable[[int], object]) -> tuple[ImageScan | None, list[Finding]]:
    """Read all labels and image headers of a list; None where no image of it can be used. Nothing is written."""
    found: list[Finding] = []
    with collected_warnings():
        scan = attempted(key, lambda: scan_images(source, classes, cache=None, advance=advance), found)
    return scan, found


def check_images(key: str, scan: ImageScan, names: Sequence[str] | None, files: Files) -> Iterator[Finding]:
    """What is missing or means nothing in a list, and what its labels say. key: `train` or `valid`."""
    missing, broken, labels = _sorted_problems(scan)
    count = f"{counted(len(scan), 'image')}, {counted(scan.boxes, 'box')}"
    if not missing and not broken:
        yield fine(key, f"{scan.source}: {count}; all files are there and whole")
    if missing:
        yield wrong(key, f"{len(missing)} images of {scan.source} do not exist, the first: {one_line(missing[0])}",
                    *_without_lines(scan.source, [_place(error).line for error in missing]))
    if broken:
        yield wrong(key, f"{len(broken)} images of {scan.source} cannot be used, the first: {one_line(broken[0])}",
                    *_without_images(scan.source, broken))
    if labels:
        yield _unusable_labels(key, labels)
    yield from _check_label_files(key, scan, files)
    if names is not None and scan.boxes:
        yield _check_balance(key, scan, names)


def check_sizes(key: str, scan: ImageScan, network: Network, files: Files) -> Iterator[Finding]:
    """Sizes and shapes of the images, and of the boxes, against the network's input."""
    yield _check_pixels(key, scan)
    yield _check_shape(key, scan, network, files)
    if scan.boxes:
        yield _check_small_boxes(key, scan, network, files)


def check_list(key: str, source: Path) -> Iterator[Finding]:
    """Whether Darknet finds the images of a list where we do, and whether each stands there once."""
    if not source.is_file() or is_image_name(source):
        return
    named = {number: line for number, line in enumerate(read_lines(source, "image list"), start=1) if line}
    windows = [number for number, line in named.items() if "\\" in line and not os.path.exists(line)]
    beside = [number for number, line in named.items() if number not in windows and not os.path.exists(line)
              and (source.parent / line).exists()]
    again = len(named) - len({os.path.normpath(line) for line in named.values()})
    if windows:
        yield look(f"{key} list", f"{counted(len(windows), 'line')} with \\ between folders, the first: {source}:{windows[0]}; we "
                   "read it as /, Darknet does so on Windows only", shlex.join(["sed", "-i.bak", r"s|\\|/|g", str(source)]))
    if beside:
        yield look(f"{key} list", f"{counted(len(beside), 'path')} that start at the folder of the list, the first: {source}:"
                   f"{beside[0]}; Darknet lets all start at the folder that it runs in", *_longer_paths(source, beside, named))
    if again:
        yield look(f"{key} list", f"repeated lines in {source}: {again}; such an image is seen, and counts, more than once")
    if not windows and not beside and not again:
        yield fine(f"{key} list", f"{source}: Darknet, run here, finds the same images, each once")


def _longer_paths(source: Path, beside: Sequence[int], named: Mapping[int, str]) -> tuple[str, ...]:
    """A command that puts the folder before each line of a list, where all want it."""
    if len(beside) < len(named):
        return ()
    return (shlex.join(["sed", "-i.bak", f"/[^[:space:]]/s|^|{source.parent.resolve()}/|", str(source)]),)


def check_calibration(scan: ImageScan, files: Files) -> Finding:
    """Whether there are as many images as a repair without labels wants to see."""
    if len(scan) >= CALIBRATION:
        return fine("calibration", f"{len(scan)} training images, of which a repair draws {CALIBRATION}")
    return look("calibration", f"{len(scan)} training images, and a repair wants {CALIBRATION}: name a folder with more, labels "
                "are not needed", python("prune.py", *files.pair, "--images", "PICTURES"))


def check_overlap(train: ImageScan, valid: ImageScan) -> Finding:
    """Images that are in both lists make every mAP too good."""
    both = set(map(os.path.abspath, train.images)) & set(map(os.path.abspath, valid.images))
    if not both:
        return fine("split", "no image is in train= and in valid=")
    return look("split", f"{len(both)} of the {len(valid)} images of valid= are in train=, too: an mAP on them says how well the "
                "network learned by heart")


def _sorted_problems(scan: ImageScan) -> tuple[list[DataError], list[DataError], list[DataError]]:
    """What was left out: lines of the list without an image, images, and lines of label files."""
    missing: list[DataError] = []
    broken: list[DataError] = []
    labels: list[DataError] = []
    for error in scan.problems:
        where = _place(error)
        if Path(where.path) == Path(scan.source):
            missing.append(error)
        elif Path(where.path).suffix == ".txt":
            labels.append(error)
        else:
            broken.append(error)
    return missing, broken, labels


def _place(error: DataError) -> SourceLine:
    return error.where if isinstance(error.where, SourceLine) else SourceLine(str(error.where))


def _without_images(source: str, broken: Sequence[DataError]) -> tuple[str, ...]:
    """A command that takes the images off their list, where it is one."""
    path = Path(source)
    if not path.is_file() or is_image_name(path):
        return ()
    bad = {str(error.where) for error in broken}
    lines = [number for number, line in enumerate(read_lines(path, "image list"), start=1)
             if line and any(name == line or name.endswith(os.sep + line) for name in bad)]
    return _without_lines(source, lines)


def _without_lines(source: str, lines: Sequence[int]) -> tuple[str, ...]:
    """A command that takes a few lines off a list; where many are wrong, the list is."""
    return (delete_lines(source, lines),) if 0 < len(lines) <= _FEW else ()


def _unusable_labels(key: str, labels: Sequence[DataError]) -> Finding:
    first = labels[0]
    by_file: dict[str, list[int]] = defaultdict(list)
    for error in labels:
        if error.remedy == "remove the line":
            by_file[_place(error).path].append(_place(error).line)
    text = f"{counted(len(labels), 'label line')} without a meaning, the first: {one_line(first)}"
    if len(by_file) and all(error.remedy == "remove the line" for error in labels):
        return wrong(f"{key} labels", text, delete_lines_of(by_file))
    return wrong(f"{key} labels", text, open_at(_place(first).path, max(1, _place(first).line)))


def _check_label_files(key: str, scan: ImageScan, files: Files) -> Iterator[Finding]:
    places = label_files(scan.images)
    absent = [place for place in places if not os.path.exists(place)]
    empty = scan.backgrounds - len(absent)
    if len(absent) == len(places):
        yield wrong(f"{key} labels", f"no image has a label file, so all count as background; the first one would be {absent[0]}",
                    *_conversion(scan))
    elif absent:
        yield look(f"{key} background", f"{len(absent)} of {len(scan)} images have no label file and count as background; if "
                   f"objects are on them, they are learned away. The first: {scan.images[places.index(absent[0])]}")
    else:
        yield fine(f"{key} background", f"every image has a label file, {max(0, empty)} of them without a box")


def _conversion(scan: ImageScan) -> tuple[str, ...]:
    """The converter for annotations of another format that lie about."""
    for folder in (Path(scan.images[0]).parent, *Path(scan.images[0]).parents[:3]):
        if (folder / "Annotations").is_dir():
            return (python("data/convert_voc.py", folder, "--train", "all", "--out", "data/mine"),)
        annotations = next(iter(sorted(folder.glob("*instances*.json"))), None)
        if annotations is not None:
            return (python("data/convert_coco.py", "--train", annotations, Path(scan.images[0]).parent, "--out", "data/mine"),)
    return ()


def _check_balance(key: str, scan: ImageScan, names: Sequence[str]) -> Finding:
    counts = np.bincount(np.concatenate(scan.labels)[:, 0].astype(np.int64), minlength=len(names))
    absent = [names[int(index)] for index in np.flatnonzero(counts[:len(names)] == 0)]
    if not absent:
        return fine(f"{key} classes", f"every class has boxes, the rarest ({names[int(counts.argmin())]}) {counts.min()}")
    shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
    return look(f"{key} classes", f"{len(absent)} of {len(names)} classes have no box: {shown}")


def _check_pixels(key: str, scan: ImageScan) -> Finding:
    short, long = scan.sizes.min(axis=1), scan.sizes.max(axis=1)
    median = np.median(scan.sizes, axis=0).astype(int)
    text = f"{median[0]}x{median[1]} in the median, {short.min()} to {long.max()} pixels on a side"
    odd = np.flatnonzero((short < TINY) | (long > LONG * short))
    if not len(odd):
        return fine(f"{key} sizes", text)
    first = odd[0]
    return look(f"{key} sizes", f"{text}; {len(odd)} images are shorter than {TINY} pixels or {LONG:g} times as long as wide, the "
                f"first: {scan.images[first]} ({scan.sizes[first, 0]}x{scan.sizes[first, 1]})")


def _check_shape(key: str, scan: ImageScan, network: Network, files: Files) -> Finding:
    """How much images are distorted, or how much of the input is grey."""
    net = network.net
    ratio = (scan.sizes[:, 0] / scan.sizes[:, 1]) / (net.width / net.height)
    stretch = float(np.median(np.maximum(ratio, 1 / ratio)))
    if net.letter_box:
        text = (f"letter_box=1: {1 - 1 / stretch:.0%} of the {net.width}x{net.height} input is grey in the median; whatever runs "
                "the network has to letterbox, too")
        return look(f"{key} shape", text, python("train.py", *files.with_data, "--rect")) if stretch > 2 else \
            fine(f"{key} shape", text)
    text = f"images are stretched {stretch:.2f} times in the median, as letter_box=0 says, to {net.width}x{net.height}"
    if stretch <= STRETCH:
        return fine(f"{key} shape", text)
    height, width = _fitting_size(scan, network)
    return look(f"{key} shape", f"{text}: right for a network that was trained so, in Darknet or here; of Ultralytics' family all "
                "letterbox. Compare the two mAPs, or train at the shape of the images",
                python("test.py", *files.with_data, "--letterbox", "yes"),
                python("train.py", *files.at(height, width).with_data))


def _fitting_size(scan: ImageScan, network: Network) -> tuple[int, int]:
    """(height, width) of about as many pixels as the network's input in the shape of most images, multiples of 32."""
    ratio = float(np.median(scan.sizes[:, 0] / scan.sizes[:, 1]))
    pixels = network.net.width * network.net.height
    width = max(32, 32 * round((pixels * ratio) ** 0.5 / 32))
    return max(32, 32 * round(width / ratio / 32)), width


def _check_small_boxes(key: str, scan: ImageScan, network: Network, files: Files) -> Finding:
    from utils.datasets import box_sizes_in

    net = network.net
    sides = (box_sizes_in((net.width, net.height), scan.labels, scan.sizes, letterbox=net.letter_box)
             * (net.width, net.height)).min(axis=1)
    share = float((sides < _SMALL_BOX).mean())
    text = f"{share:.1%} of the boxes are narrower than {_SMALL_BOX:g} pixels at {net.width}x{net.height}"
    if share <= _MANY:
        return fine(f"{key} boxes", text)
    return look(f"{key} boxes", f"{text}: there is hardly anything of them to see; a larger input helps",
                python("train.py", *files.at(2 * net.height, 2 * net.width).with_data))
