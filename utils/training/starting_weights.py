"""Where a training starts: initial weights, a trained pair, a backbone, or weights that were trained for other classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models import Darknet, is_checkpoint, load_checkpoint, set_weights
from utils.darknet import (
    Network,
    Weights,
    classes_for_length,
    classes_in_file,
    head_convolutions,
    read_weights,
    with_classes,
)
from utils.darknet.known_files import known_file
from utils.errors import CfgError, WeightsError
from utils.layers import Checkpoint
from utils.wording import counted

Prior = Callable[[int, Tensor, tuple[int, int]], Tensor]
"""prior(head, bias, (height, width)): another bias for the convolution before that head (its number among the heads)."""


@dataclass(frozen=True)
class StartReport:
    """Where a training starts.

    path: the file, or None. fresh: the layers whose weights are initial ones, not the file's. seen: images that the file
    was trained on. note: what a user should know about it, or "".
    """

    path: Path | None
    fresh: tuple[int, ...]
    seen: int
    note: str


def load_start(model: Darknet, path: str | Path | None, *, prior: Prior | None = None) -> StartReport:
    """Fill a model with the weights that a training starts from; what the file does not hold stays as it is.

    It takes a .weights file or a .pt file (ours, or of the ultralytics/yolov3 family of 2019) of this cfg; a .weights file
    of its first layers (darknet53.conv.74); and either kind of file trained for another number of classes, without the
    convolutions before the heads. Nothing is guessed from names of files.

    Args:
        model: with initial weights, on the CPU.
        path: None keeps them all.
        prior: gives new biases to the convolutions before heads that keep their initial weights, see `Prior`.

    Raises:
        WeightsError: the file cannot be read, or belongs to another cfg: which, if it is one that we know, and the first
            layer that differs. Files with code in them are not read.
    """
    if path is None:
        fresh = tuple(layer.index for layer in model.network.layers if layer.arrays)
        report = StartReport(None, fresh, 0, "training from initial weights")
    else:
        weights, note = _of_checkpoint(model.network, Path(path)) if is_checkpoint(path) else \
            _of_weights(model.network, Path(path))
        set_weights(model, weights)
        fresh = tuple(layer.index for layer, arrays in zip(model.network.layers, weights.layers, strict=True)
                      if any(spec.name not in arrays for spec in layer.arrays))
        report = StartReport(Path(path), fresh, weights.header.seen, note)
    if prior is not None:
        _apply_prior(model, report.fresh, prior)
    return report


def _of_weights(network: Network, path: Path) -> tuple[Weights, str]:
    classes = classes_in_file(path, network)
    own = {head.options.classes for head in network.heads}
    if classes is not None and own != {classes}:
        trained = with_classes(network, classes)
        return _without_heads(network, read_weights(path, trained), path, classes)
    try:
        weights = read_weights(path, network, allow_prefix=True)
    except WeightsError as error:
        known = known_file(path, network.net.channels)
        if known is None:
            raise
        raise WeightsError(path, error.problem, f"it has the length of {known}") from error
    if weights.is_whole:
        return weights, ""
    return weights, (f"{path.name} holds layers 0 to {weights.held - 1} of {len(network.layers)}: the others keep their "
                     "initial weights")


def _of_checkpoint(network: Network, path: Path) -> tuple[Weights, str]:
    checkpoint = load_checkpoint(path)
    try:
        return checkpoint.weights_for(network), ""
    except WeightsError as error:
        classes = _classes_of_checkpoint(checkpoint, network)
        if classes is None:
            raise
        try:
            weights = checkpoint.weights_for(with_classes(network, classes))
        except (CfgError, WeightsError):
            raise error from None
        return _without_heads(network, weights, path, classes)


def _classes_of_checkpoint(checkpoint: Checkpoint, network: Network) -> int | None:
    """The classes that its cfg says, or that the number of its floats allows."""
    if checkpoint.cfg is not None:
        heads = checkpoint.network().heads
        return heads[0].options.classes if heads else None
    floats = {tensor.data_ptr(): tensor.numel() for tensor in checkpoint.state.values() if tensor.is_floating_point()}
    return classes_for_length(network, sum(floats.values()))


def _without_heads(network: Network, weights: Weights, path: Path, classes: int) -> tuple[Weights, str]:
    heads = head_convolutions(network)
    of = counted(classes, "class")
    convolutions = "its convolution before the head keeps" if len(heads) == 1 else \
        f"its {len(heads)} head convolutions keep"
    note = f"{path.name} was trained for {of}: {convolutions} their initial weights"
    return weights.with_layers({index: {} for index in heads}), note


def _apply_prior(model: Darknet, fresh: tuple[int, ...], prior: Prior) -> None:
    size, done = (model.network.net.height, model.network.net.width), set()
    for number, head in enumerate(model.network.heads):
        index = head.inputs[0]
        arrays = model.layers[index].arrays() if index >= 0 else {}
        bias = arrays.get("bias", arrays.get("beta"))
        if index not in fresh or index in done or bias is None:
            continue
        done.add(index)
        with torch.no_grad():
            bias.copy_(prior(number, bias.detach().clone(), size))
