"""From an architecture and a user's choices to the text of a cfg."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence

from utils.darknet.builder.architecture import Architecture, Training
from utils.darknet.builder.table import ARCHITECTURES
from utils.darknet.builder.writer import AnchorSizes, CfgWriter, Settings
from utils.errors import OptionError

COCO_CLASSES = 80


def build_cfg(
    architecture: str,
    *,
    classes: int = COCO_CLASSES,
    width: int | None = None,
    height: int | None = None,
    anchors: Sequence[tuple[float, float]] | None = None,
    width_multiple: float = 1.0,
    round_to: int = 8,
    channels: int = 3,
    batch: int = 64,
    subdivisions: int | None = None,
    max_batches: int | None = None,
) -> str:
    """The cfg of a detector, as Darknet, OpenCV and we read it.

    With nothing but a name it is the official COCO network: the published .weights fit float for float.

    Args:
        architecture: a name from ARCHITECTURES.
        classes: how many kinds of objects.
        width, height: network input, pixels, multiples of 32. One alone means a square; neither the usual size.
        anchors: (width, height) in pixels of the network's input, smallest first; equally many go to each head, the
            first to the finest. None means the architecture's own.
        width_multiple: scales the filters of all convolutions but those of the heads; 0.25 is a quarter.
        round_to: scaled filters are multiples of this, and at least this.
        channels: of the input image.
        batch, subdivisions: for training in Darknet, which computes batch / subdivisions images at a time.
        max_batches: iterations for training in Darknet; the learning rate drops at 80 % and 90 %. None means what
            Darknet's guide says: the architecture's own for 80 classes, else 2000 per class and at least 6000.

    Returns:
        ASCII text, LF, `key=value`.

    Raises:
        OptionError: an unknown name, or a number that no such network can have.
    """
    chosen = _architecture(architecture)
    width, height = _input_size(chosen, width, height)
    sizes = chosen.anchors if anchors is None else _checked_anchors(chosen, anchors)
    _at_least("classes", classes, 1)
    _at_least("channels", channels, 1)
    _at_least("round_to", round_to, 1)
    if not (math.isfinite(width_multiple) and 0 < width_multiple <= 16):
        raise OptionError("width_multiple", f"{width_multiple} is no factor",
                          "use more than 0 and at most 16; 1 is full width")
    training = _training_options(chosen.training, classes, batch, subdivisions, max_batches)

    net = CfgWriter(Settings(classes, sizes, chosen.anchor_masks(sizes), width_multiple, round_to))
    net.comment(f"{chosen.name}: {chosen.description}")
    net.section("net", training[0] | {"width": width, "height": height, "channels": channels} | training[1])
    chosen.draw(net)
    return net.text()


def _architecture(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        near = difflib.get_close_matches(name, ARCHITECTURES, n=1)
        raise OptionError("architecture", f"there is no {name!r}",
                          f"did you mean {near[0]}?" if near else f"choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def _input_size(architecture: Architecture, width: int | None, height: int | None) -> tuple[int, int]:
    if width is None and height is None:
        return architecture.width, architecture.height
    given = [side for side in (width, height) if side is not None]
    size = given[0], given[-1]
    for name, side in zip(("width", "height"), size, strict=True):
        _at_least(name, side, architecture.stride)
        if side % architecture.stride:
            below = side // architecture.stride * architecture.stride
            raise OptionError(name, f"{side} is not a multiple of {architecture.stride} pixels, the stride of "
                                    f"{architecture.name}", f"use {below} or {below + architecture.stride}")
    return size


def _checked_anchors(architecture: Architecture, anchors: Sequence[tuple[float, float]]) -> AnchorSizes:
    heads = len(architecture.heads)
    sizes = tuple((float(width), float(height)) for width, height in anchors)
    if not sizes or len(sizes) % heads:
        raise OptionError("anchors", f"{len(sizes)} of them cannot be dealt out to the {heads} heads of "
                                     f"{architecture.name}",
                          f"give {len(architecture.anchors)}, or another multiple of {heads}")
    for width, height in sizes:
        if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
            raise OptionError("anchors", f"{width:g},{height:g} is not a size",
                              "give widths and heights above 0, in pixels")
    return sizes


def _training_options(training: Training, classes: int, batch: int, subdivisions: int | None,
                      max_batches: int | None) -> tuple[dict[str, object], dict[str, object]]:
    """The options of [net] before and after the input size."""
    _at_least("batch", batch, 1)
    if subdivisions is None:
        subdivisions = math.gcd(training.subdivisions, batch)
    _at_least("subdivisions", subdivisions, 1)
    if batch % subdivisions:
        raise OptionError("subdivisions", f"batch={batch} is not a multiple of {subdivisions}",
                          f"use {math.gcd(batch, subdivisions)}, or another divisor of {batch}")
    if max_batches is None and classes == COCO_CLASSES:
        max_batches, steps = training.max_batches, training.steps
    else:
        max_batches = max(6000, 2000 * classes) if max_batches is None else max_batches
        steps = (max_batches * 8 // 10, max_batches * 9 // 10)
    _at_least("max_batches", max_batches, 1)
    after = {"momentum": training.momentum, "decay": "0.0005", "angle": 0, "saturation": "1.5", "exposure": "1.5",
             "hue": ".1", "learning_rate": training.learning_rate, "burn_in": 1000, "max_batches": max_batches,
             "policy": "steps", "steps": f"{steps[0]},{steps[1]}", "scales": ".1,.1", **training.more}
    return {"batch": batch, "subdivisions": subdivisions}, after


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise OptionError(name, f"{value} is too small", f"use {least} or more")
