"""Checks of a .cfg by itself: can it be read, do filters, classes and anchors fit, which widths, where the work is."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from utils.cli.doctor.commands import Files, change_lines, python
from utils.cli.doctor.finding import Finding, attempted, collected_warnings, fine, look, one_line, wrong
from utils.darknet import HEADS, CfgDocument, Network, head_convolutions, lines_for_classes, read_network
from utils.darknet.option_reader import OptionReader
from utils.darknet.sections import KIND_OF_NAME
from utils.errors import CfgError
from utils.pruning import residual_blocks
from utils.reports import units
from utils.wording import counted

WIDTH = 8  # engines work on so many channels at a time
_MANY = 0.1  # of the convolutions with odd widths: worth a word
_EARLY_PARAMETERS = 0.1  # of all: a network whose first layers have fewer, and half of the work, gets small before fast


def read_cfg(path: Path) -> tuple[Network | None, list[Finding]]:
    """The network, or None where the file means none, and what there is to say about reading it."""
    found: list[Finding] = []
    with collected_warnings() as warnings:
        network = attempted("cfg", lambda: read_network(path), found)
    if network is None:
        changes = filters_before_heads(path)
        if changes:
            found[-1] = wrong("cfg", found[-1].text, change_lines(path, changes))
        return None, found
    shape, heads = network.input_shape, network.heads
    found.append(fine("cfg", f"{path}: {counted(len(network.layers), 'layer')}, {counted(len(heads), 'head')}, {shape.width}x"
                             f"{shape.height}x{shape.channels}, {units.count(network.parameters)} parameters, "
                             f"{network.bflops:.3f} BFLOPs"))
    found += [look("cfg", text) for text in warnings]
    return network, found


def network_at(network: Network, height: int, width: int, files: Files) -> tuple[Network, Finding]:
    """The network at another input size, and what there is to say of it; as it was, where its layers cannot take the size."""
    own = network.input_shape
    try:
        resized = network.resized(height, width)
    except CfgError as error:
        stride = max((-(-own.width // head.shape.width) for head in network.heads), default=1)
        nearest = [max(stride, stride * round(side / stride)) for side in (height, width)]
        return network, wrong("size", f"{width}x{height} does not go through the layers: {one_line(error)}; what follows is about "
                              f"{own.width}x{own.height}. Multiples of {stride} do",
                              python("doctor.py", *files.at(nearest[0], nearest[1]).with_known_data))
    return resized, fine("size", f"{width}x{height} goes through all layers, and what follows is about it; {network.path} says "
                                 f"{own.width}x{own.height}")


def filters_before_heads(path: Path) -> dict[int, str]:
    """What to write on which lines (from 1) so that the convolutions right before heads have the filters= these read.

    Works on the text, so that all of them are named where the network cannot be built because of the first.
    """
    try:
        document = CfgDocument.parse(path.read_bytes(), str(path))
    except (CfgError, OSError):
        return {}
    changes: dict[int, str] = {}
    for index, (before, section) in enumerate(zip(document.sections, document.sections[1:], strict=False)):
        kind = KIND_OF_NAME.get(section.name)
        if kind is None or kind.kind not in HEADS or "filters" not in before.by_key:
            continue
        try:
            head: Any = kind.read(OptionReader(section, str(path)), index)
            wanted = head.channels
            written = OptionReader(before, str(path)).integer("filters", 0)
        except CfgError:
            continue
        if written != wanted:
            changes[before.by_key["filters"].line] = f"filters={wanted}"
    return changes


def check_cfg(network: Network, files: Files) -> Iterator[Finding]:
    """All that a network's text tells without weights and data."""
    yield from _check_text(network)
    yield from _check_heads(network)
    if network.heads:
        yield _check_masks(network)
    yield _check_widths(network, files)
    yield _check_speed(network, files)


def _check_text(network: Network) -> Iterator[Finding]:
    lines, path = network.document.lines, network.path
    quoted = shlex.quote(path)
    other = Path(path).with_name(f"plain_{Path(path).name}")
    first = next((number for number, line in enumerate(lines, start=1) if "\r" in line), None)
    if lines[0].startswith("\xef\xbb\xbf"):
        yield look("text", f"{path} begins with a byte order mark, which hides [net] from OpenCV",
                   f"tail -c +4 {quoted} > {shlex.quote(str(other))}")
    elif first is not None:
        yield look("text", f"{path}:{first}: Windows line ends, over which the Darknet of 2018 stumbles; all others read them",
                   f"tr -d '\\r' < {quoted} > {shlex.quote(str(other))}")
    else:
        yield fine("text", "line ends and encoding are what every engine reads")


def _check_heads(network: Network) -> Iterator[Finding]:
    heads = network.heads
    if not heads:
        yield wrong("heads", f"{network.path} has no [yolo], [Gaussian_yolo] or [region]: it cannot detect",
                    python("make_cfg.py", "--list"))
        return
    counts = Counter(head.options.classes for head in heads)
    if len(counts) > 1:
        most = counts.most_common(1)[0][0]
        yield wrong("heads", f"the heads know different numbers of classes: {', '.join(map(str, sorted(counts)))}",
                    change_lines(network.path, lines_for_classes(network, most)))
        return
    head = heads[0].options
    yield fine("heads", f"{len(heads)} with {counted(head.classes, 'class')}; filters= before each "
                        f"fits, for the first {head.per_cell} anchors x ({head.entries} + {head.classes}) = {head.channels}")


def _check_masks(network: Network) -> Finding:
    """Heads should share one list of anchors, and each anchor should belong to one of them."""
    lists = {head.options.anchors for head in network.heads}
    masks = [getattr(head.options, "anchor_mask", tuple(range(head.options.num))) for head in network.heads]
    used = Counter(index for mask in masks for index in mask)
    idle = sorted(set(range(len(network.heads[0].options.anchors))) - set(used))
    twice = sorted(index for index, times in used.items() if times > 1)
    if len(lists) > 1:
        return look("masks", f"the heads have {len(lists)} different lists of anchors=; if that is meant, all is well")
    if idle or twice:
        said = [f"no mask= names anchor {', '.join(map(str, idle))}"] if idle else []
        said += [f"several name anchor {', '.join(map(str, twice))}"] if twice else []
        return look("masks", f"{' and '.join(said)} (as in the official yolov4-tiny, where it is meant)")
    return fine("masks", f"each of the {len(used)} anchors belongs to one head")


def _check_widths(network: Network, files: Files) -> Finding:
    heads = set(head_convolutions(network))
    widths = {layer.index: layer.shape.channels for layer in network.layers
              if layer.kind == "convolutional" and layer.index not in heads}
    odd = [index for index, width in widths.items() if width % WIDTH]
    if len(odd) <= _MANY * len(widths):
        return fine("widths", f"{len(widths) - len(odd)} of {len(widths)} convolutions have a multiple of {WIDTH} channels")
    shown = ", ".join(f"layer {index}: {widths[index]}" for index in odd[:3])
    return look("widths", f"{len(odd)} of {len(widths)} convolutions have no multiple of {WIDTH} channels ({shown}, ...): "
                          "engines compute the next multiple. The network that this was cut from can be cut with --round",
                python("slim_prune.py", "--cfg", "BEFORE.cfg", "--weights", "BEFORE.weights", "--round", WIDTH))


def _check_speed(network: Network, files: Files) -> Finding:
    """Whether a small file will also be a fast one: where the operations are, and where the parameters."""
    total = network.macs
    work = list(accumulate(layer.macs for layer in network.layers))
    last = next((index for index, done in enumerate(work) if 2 * done >= total), len(work) - 1)
    held = sum(layer.parameters for layer in network.layers[:last + 1]) / max(1, network.parameters)
    text = (f"half of the operations are in layers 0 to {last} of {len(network.layers)}, which hold {held:.1%} of the "
            "parameters")
    if held >= _EARLY_PARAMETERS:
        return fine("speed", text)
    ways = [python("compress.py", *files.with_images, "--target", "gflops:2x")]
    if residual_blocks(network):
        ways.insert(0, python("layer_prune.py", *files.pair, "--shortcuts", 8))
    return look("speed", f"{text}: a share of channels takes parameters first and time last. For speed cut blocks, or aim at "
                         "operations", *ways)
