"""Checks of a .weights (or .pt) file against its cfg: is it one, whole, of this network, and what its header says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from utils.cli.doctor.commands import Files, change_lines, python
from utils.cli.doctor.data import is_for
from utils.cli.doctor.finding import Finding, attempted, collected_warnings, fine, look, one_line, wrong
from utils.darknet import (
    Network,
    Weights,
    classes_in_file,
    float_count,
    lines_for_classes,
    net_training,
    read_network,
    read_weights,
)
from utils.darknet.known_files import known_file
from utils.errors import BonsaiError, CfgError, WeightsError
from utils.reports import units
from utils.wording import counted

_OFFICIAL = frozenset({  # what weights/download.sh fetches; a test holds them equal
    "yolov3", "yolov3-spp", "yolov3-tiny", "yolov4", "yolov4-tiny", "yolov4-csp", "yolov7", "yolov7-tiny",
    "darknet53.conv.74", "yolov4.conv.137", "yolov4-tiny.conv.29"})
_MOST_NEIGHBOURS = 100  # cfgs that are tried when the weights do not fit
_SMALL_VARIANCE = 1e-4  # below it OpenCV's epsilon moves a batch norm's scale by 4 % and more
_MANY_SMALL = 0.01  # of all channels
_EPSILON = 1e-5


def read_pair(path: Path, files: Files, network: Network) -> tuple[Weights | None, list[Finding]]:
    """The weights, None unless they are those of the whole network; and what there is to say about reading them."""
    from models import is_checkpoint, load_checkpoint

    if is_checkpoint(path):
        found: list[Finding] = []
        weights = attempted("weights", lambda: load_checkpoint(path).weights_for(network), found)
        return weights, found if weights is None else [_of_checkpoint(path, files, network)]
    try:
        weights = read_weights(path, network, allow_prefix=True)
    except WeightsError as error:
        return None, [_unfit(path, files, network, error)]
    if not weights.is_whole:
        return None, [look("weights", f"{path} holds layers 0 to {weights.held - 1} of {len(network.layers)}: a start for "
                           "training, not a network to prune or to run", python("train.py", *files.with_data))]
    return weights, [fine("weights", f"{path} fits {network.path}: {units.count(network.parameters)} numbers, all finite")]


def check_lone_weights(path: Path) -> Finding:
    """What can be said of a .weights file without its cfg."""
    try:
        known = known_file(path)
    except WeightsError as error:
        return wrong("weights", one_line(error), *_fetched_again(path, error))
    what = f"it has the length of {known}" if known else "no official network has its length"
    return look("weights", f"{path}: {what}; without --cfg no more can be said",
                python("doctor.py", "--cfg", "MY.cfg", "--weights", path))


def check_weights(weights: Weights, network: Network, files: Files) -> Iterator[Finding]:
    """The header and the batch norms of weights that fit."""
    found: list[Finding] = []
    seen = attempted("seen", lambda: _check_seen(weights, network, files), found)
    yield from found if seen is None else [seen]
    yield from _check_variances(weights, network, files)


def _check_seen(weights: Weights, network: Network, files: Files) -> Finding:
    training, seen = net_training(network), weights.header.seen
    end = training.batch * training.max_batches
    text = f"the header counts {seen} images"
    if not training.max_batches:
        return fine("seen", f"{text}, and the cfg names no max_batches=")
    if seen < end:
        return fine("seen", f"{text}; Darknet trains until {end} (batch {training.batch} x {training.max_batches})")
    return look("seen", f"{text}, and Darknet stops at {end} (batch {training.batch} x max_batches {training.max_batches}): it "
                "would save and exit at once. train.py does not care",
                shlex.join(["./darknet", "detector", "train", str(files.data or "MY.data"), str(files.cfg),
                            str(files.weights), "-clear"]))


def _check_variances(weights: Weights, network: Network, files: Files) -> Iterator[Finding]:
    variances = {layer: arrays["var"] for layer, arrays in enumerate(weights.layers) if "var" in arrays}
    if not variances:
        return
    negative = [layer for layer, values in variances.items() if (values <= -_EPSILON).any()]
    if negative:
        where = network.layers[negative[0]].where
        yield wrong("batch norm", f"{where}: running variances below zero in {len(negative)} layers: every engine computes NaN "
                                  "there; take weights from before the training diverged")
        return
    values = np.concatenate(list(variances.values()))
    share = float((values < _SMALL_VARIANCE).mean())
    text = f"{share:.1%} of the running variances are below {_SMALL_VARIANCE:g}"
    if share <= _MANY_SMALL:
        yield fine("batch norm", f"{text}: OpenCV's other epsilon will hardly show")
        return
    yield look("batch norm", f"{text}, where OpenCV, whose epsilon is 1e-6, computes something else; measure how much, and cut "
               "with --engine-neutral for deployment", python("verify.py", *files.pair))


def _of_checkpoint(path: Path, files: Files, network: Network) -> Finding:
    bytes_of_weights = 20 + 4 * network.parameters
    size = path.stat().st_size
    text = f"{path} is a PyTorch checkpoint that fits {network.path}: {units.file_size(size)}"
    code = f"from models import convert; convert({str(files.cfg)!r}, {str(path)!r})"
    return look("weights", f"{text}, of which the weights are {units.file_size(bytes_of_weights)}; Darknet, OpenCV and "
                "size comparisons want the .weights file", python("-c", code))


def _unfit(path: Path, files: Files, network: Network, error: WeightsError) -> Finding:
    """Why weights cannot be read with this cfg, and what they belong to."""
    try:
        floats = float_count(path)
    except WeightsError:
        return wrong("weights", one_line(error), *_fetched_again(path, error))
    classes = classes_in_file(path, network)
    if classes is not None and {head.options.classes for head in network.heads} != {classes}:
        if files.data is not None and is_for(network, files.data):
            return look("weights", f"{path} was trained for {counted(classes, 'class')}, {network.path} is for those of {files.data}: "
                        "a start for training (the convolutions before the heads begin anew), not a network to prune or to run",
                        python("train.py", *files.with_data))
        return wrong("weights", f"{path} was trained for {counted(classes, 'class')}, the heads of "
                     f"{network.path} know {network.heads[0].options.classes}. To train from it all is well (the convolutions "
                     "before the heads begin anew); for all else change the cfg",
                     change_lines(network.path, lines_for_classes(network, classes)),
                     python("train.py", *files.with_data))
    neighbour = _fitting_neighbour([given.parent for given in (path, files.cfg) if given is not None], floats)
    if neighbour is not None:
        return wrong("weights", f"{one_line(error)}; it has the length that {neighbour} asks for",
                     python("doctor.py", "--cfg", neighbour, "--weights", path))
    known = known_file(path, network.net.channels)
    if known is not None and known.classes is not None:
        return wrong("weights", f"{error.where}: {error.problem}; it has the length of {known}",
                     python("make_cfg.py", known.architecture, "--classes", known.classes, "-o", f"{path.stem}.cfg"))
    if known is not None:
        return wrong("weights", f"{error.where}: {error.problem}; it has the length of {known}",
                     python("make_cfg.py", known.architecture, "-o", f"{known.architecture}.cfg"))
    return wrong("weights", one_line(error), *_fetched_again(path, error))


def _fitting_neighbour(folders: Sequence[Path], floats: int) -> Path | None:
    """A cfg beside the two files that asks for that many numbers: pruned weights and the cfg of before are often mixed up."""
    for path in [path for folder in dict.fromkeys(folders) for path in sorted(folder.glob("*.cfg"))][:_MOST_NEIGHBOURS]:
        try:
            with collected_warnings():
                if read_network(path).parameters == floats:
                    return path
        except CfgError:
            continue
    return None


def _fetched_again(path: Path, error: BonsaiError) -> tuple[str, ...]:
    if "Git LFS" in error.problem:
        return (shlex.join(["git", "-C", str(path.parent), "lfs", "pull"]),)
    name = path.name.removesuffix(".weights")
    if name in _OFFICIAL:
        return (f"rm -f {shlex.quote(str(path))} && "
                + shlex.join(["weights/download.sh", "--to", str(path.parent), name]),)
    return ()
