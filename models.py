"""A Darknet network as a torch module, and its weights in and out: .weights, .pt, and one into the other."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from utils.darknet import IMAGE, Header, Network, Weights, initial_weights, read_network, read_weights, write_weights
from utils.errors import BonsaiError, CfgError, OutputError, WeightsError
from utils.layers import (
    Checkpoint,
    ConvolutionalLayer,
    DarknetLayer,
    HeadLayer,
    build_layer,
    channels_last,
    fill_layer,
    fuse_layers,
    is_checkpoint,
    lacks,
    layer_arrays,
    read_checkpoint,
    write_checkpoint,
)

__all__ = [
    "Checkpoint", "Darknet", "Loaded", "convert", "get_weights", "is_checkpoint", "load_checkpoint",
    "load_darknet_weights", "load_model", "model_with", "save_checkpoint", "save_weights", "set_weights",
]

_logger = logging.getLogger(__name__)

_CONVERTED = "converted.weights"  # what the ancestor's convert() writes


class Darknet(nn.Module):
    """A network that computes what Darknet computes.

    Args:
        cfg: a .cfg file, or a Network.
        img_size: input side, or (height, width), in pixels, instead of the cfg's. `forward` takes any size that the
            strides divide; this one is checked now.
        darknet_cpu: give the zeros that AlexeyAB's CPU build gives for relu6 and, in some sections, other activations.
        init: draw initial weights (seed 0). False leaves the memory as it is: fill it with `set_weights`.

    Attributes:
        network: the Network.
        layers: one module per section below [net].
        header: of the .weights file that was loaded last; `header.seen` images trained on.
        fused: whether batch normalisation was folded away; such a model can only predict.

    Raises:
        CfgError: the cfg cannot mean a network, or not for this img_size.
    """

    def __init__(self, cfg: str | Path | Network, img_size: int | tuple[int, int] | None = None, *,
                 darknet_cpu: bool = False, init: bool = True) -> None:
        super().__init__()
        network = cfg if isinstance(cfg, Network) else read_network(cfg)
        if img_size is not None:
            height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
            network = network.resized(height, width)
        self.network = network
        self.header = Header()
        self.fused = False
        layers: list[DarknetLayer] = []
        for layer in network.layers:
            layers.append(build_layer(layer, layers, darknet_cpu=darknet_cpu))
        self.layers = cast(Sequence[DarknetLayer], nn.ModuleList(layers))
        self._last_use = _last_uses(network)
        if len({head.options.classes for head in network.heads}) > 1:
            raise CfgError(network.heads[-1].where, "the heads have different numbers of classes",
                           "give all heads the same classes=")
        if init:
            self.initialise()

    def initialise(self, seed: int = 0) -> Darknet:
        """Draw all weights anew, as Darknet does before a training."""
        set_weights(self, initial_weights(self.network, seed))
        return self

    def forward(self, x: Tensor) -> Any:
        """Run the network.

        Args:
            x: images, (N, C, H, W), RGB in [0, 1].

        Returns:
            train(): a list with the raw output of each head, (N, A, gy, gx, 5 + classes), in cfg order.
            eval(): (predictions, raw): predictions (N, boxes, 5 + classes) holds, for all heads one after the other,
            centre x, centre y, width, height in pixels of the input, objectness, class probabilities; raw as above.
            A network without heads (a classifier) gives its last layer's output instead, in both modes.

        Raises:
            CfgError: the images have the wrong channels, or a size at which maps do not meet; names the layer.
        """
        heads = [head.index for head in self.network.heads]
        if not heads:
            last = len(self.layers) - 1
            return self._run(x, (last,))[last]
        outputs = self._run(x, heads)
        raw = [outputs[index] for index in heads]
        if self.training:
            return raw
        boxes = [layer.decode(outputs[layer.section.index], *x.shape[2:]) for layer in self.layers
                 if isinstance(layer, HeadLayer)]
        return torch.cat(boxes, 1), raw

    def forward_layers(self, x: Tensor, layers: Sequence[int]) -> dict[int, Tensor]:
        """Outputs of chosen layers, by layer index; a head's is its raw input, regrouped. See `forward` for errors."""
        return self._run(x, layers)

    def fuse(self) -> Darknet:
        """Fold batch normalisation into the convolutions, in place, for fast prediction; sets eval() and channels_last.

        The result agrees with the unfused model to rounding. It can neither be trained nor saved as a pair.
        """
        self.eval()
        fuse_layers(self.layers)
        self.requires_grad_(False)
        self.fused = True
        channels_last(self)
        for layer in self.layers:
            if isinstance(layer, ConvolutionalLayer):
                layer.prefer_fast_ways()
        return self

    def train(self, mode: bool = True) -> Darknet:
        """As nn.Module.train; BonsaiError for a fused model, which has no batch normalisation to train."""
        if mode and self.fused:
            raise _fused_error(self, "be trained")
        return super().train(mode)

    def _run(self, x: Tensor, layers: Collection[int]) -> dict[int, Tensor]:
        """The outputs of `layers`; every other map is freed behind its last reader."""
        wanted = dict.fromkeys(layers)
        channels = self.network.net.channels
        if x.dim() != 4 or x.shape[1] != channels:
            raise CfgError(self.network.path, f"reads images of shape (N, {channels}, H, W), got {tuple(x.shape)}",
                           "check channels= in [net] and the images")
        missing = sorted(set(wanted) - set(range(len(self.layers))))
        if missing:
            raise CfgError(self.network.path, f"has layers 0 to {len(self.layers) - 1}, and no layer {missing[0]}",
                           "ask for a layer that exists")
        maps: dict[int, Tensor] = {IMAGE: x}
        for index in range(max(wanted, default=-1) + 1):
            module = self.layers[index]
            sources = module.section.inputs or (IMAGE,)  # [implicit] reads nothing, but wants to know N
            maps[index] = module(*[maps[source] for source in sources])
            for source in self._last_use[index]:
                if source not in wanted:
                    del maps[source]
        return {index: maps[index] for index in wanted}


def _last_uses(network: Network) -> tuple[tuple[int, ...], ...]:
    """For each layer the layers whose outputs nobody reads after it (itself, if nobody reads it at all)."""
    done: list[list[int]] = [[] for _ in network.layers]
    for layer in network.layers:
        done[max(network.consumers(layer.index), default=layer.index)].append(layer.index)
    return tuple(tuple(indices) for indices in done)


def _fused_error(model: Darknet, what: str) -> BonsaiError:
    return BonsaiError(model.network.path, f"a fused model cannot {what}: its batch normalisation is gone",
                       "build it again with models.load_model and leave out fuse()")


@dataclass(frozen=True)
class Loaded:
    """What a file gave: layers 0 to held - 1 of `layers`, and its header."""

    path: Path
    header: Header
    held: int
    layers: int

    @property
    def whole(self) -> bool:
        """Whether no layer was left out."""
        return self.held == self.layers


def set_weights(model: Darknet, weights: Weights) -> None:
    """Copy arrays into the model, bit for bit. Layers without arrays in `weights` (a prefix file) stay as they are.

    Raises:
        WeightsError: the arrays belong to another cfg; names the first layer that differs.
        BonsaiError: the model is fused.
    """
    if model.fused:
        raise _fused_error(model, "take weights")
    if len(weights.layers) != len(model.layers):
        raise WeightsError(model.network.path, f"has {len(model.layers)} layers, the weights {len(weights.layers)}",
                           "use weights of this very cfg")
    for layer, arrays in zip(model.layers, weights.layers, strict=True):
        fill_layer(layer, arrays)
    model.header = weights.header


def model_with(network: Network, weights: Weights) -> Darknet:
    """A network that holds these arrays, bit for bit, in eval(); WeightsError if they belong to another cfg."""
    model = Darknet(network, init=False)
    set_weights(model, weights)
    return model.eval()


def get_weights(model: Darknet) -> Weights:
    """A copy of the model's arrays, bit for bit if it computes in float32; BonsaiError if it is fused."""
    if model.fused:
        raise _fused_error(model, "give its weights")
    layers = tuple(layer_arrays(layer) for layer in model.layers)
    return Weights(model.header, layers, len(layers))


def load_model(cfg: str | Path | Network, weights: str | Path | None = None,
               img_size: int | tuple[int, int] | None = None, *, allow_prefix: bool = False,
               darknet_cpu: bool = False) -> Darknet:
    """Build a network and load a .weights or .pt file into it; without a file it gets initial weights.

    Args:
        cfg, img_size, darknet_cpu: as `Darknet`.
        allow_prefix: accept a .weights file of the first layers only (darknet53.conv.74) and draw the rest: for training.

    Raises:
        CfgError, WeightsError: as `Darknet`, `load_darknet_weights` and `load_checkpoint` say.
    """
    model = Darknet(cfg, img_size, darknet_cpu=darknet_cpu, init=False)
    if weights is None:
        return model.initialise()
    if is_checkpoint(weights):
        loaded = load_checkpoint(weights).weights_for(model.network)
    else:
        loaded = read_weights(weights, model.network, allow_prefix=allow_prefix)
    if lacks(model.layers, loaded.layers):
        model.initialise()
    set_weights(model, loaded)
    _announce(Loaded(Path(weights), loaded.header, loaded.held, len(model.layers)))
    return model


def load_darknet_weights(model: Darknet, path: str | Path, cutoff: int = -1) -> Loaded:
    """Load a .weights file into the model.

    Args:
        cutoff: how many layers to load, -1 for all that the file holds. With a number, what the file holds behind them
            does not matter: so weights trained for other classes can be a start.

    Raises:
        WeightsError: the file does not fit the cfg.
    """
    weights = read_weights(path, model.network, allow_prefix=True, cutoff=None if cutoff < 0 else cutoff)
    set_weights(model, weights)
    loaded = Loaded(Path(path), weights.header, weights.held, len(model.layers))
    _announce(loaded)
    return loaded


def save_weights(model: Darknet, path: str | Path, cutoff: int = -1, seen: int | None = None) -> None:
    """Write the model's weights as a .weights file, all or nothing.

    Args:
        cutoff: write only that many layers, -1 for all (a prefix file, a start for other cfgs).
        seen: images trained on, for the header; None keeps what was loaded.

    Raises:
        OutputError: the file cannot be written. BonsaiError: the model is fused.
    """
    network, weights = model.network, get_weights(model)
    if cutoff >= 0:
        network = replace(network, layers=network.layers[:cutoff])
        weights = replace(weights, layers=weights.layers[:cutoff], held=min(cutoff, weights.held))
    write_weights(path, network, weights, seen=seen)


def _announce(loaded: Loaded) -> None:
    if not loaded.whole:
        _logger.info("%s holds layers 0 to %d of %d; the others keep their initial weights",
                     loaded.path, loaded.held - 1, loaded.layers)


def save_checkpoint(path: str | Path, model: Darknet, **extra: Any) -> None:
    """Write a .pt file, all or nothing: the cfg's text, the model's tensors, and `extra` (tensors and plain values).

    Raises:
        OutputError: the file cannot be written. BonsaiError: the model is fused.
    """
    if model.fused:
        raise _fused_error(model, "be saved")
    write_checkpoint(path, model.network, model.header, model.state_dict(), extra)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a .pt file onto the CPU; no code in it is run. WeightsError if it is no file of tensors and plain values.

    `load_model(checkpoint.network(), path)` builds the model that was saved.
    """
    return read_checkpoint(path)


def convert(cfg: str | Path, weights: str | Path, output: str | Path | None = None, *,
            overwrite: bool = False) -> Path:
    """Turn a .pt file into a .weights file, or a .weights file into a .pt file.

    The result lies beside the input under the same name with the other ending, or at `output`. What is written from a
    .pt file holds no epoch, so a training started from it begins at 0; beside `last.weights` there is then the same
    file under the name `converted.weights`, where notes written for the ancestor look for it. A `last.weights` that is
    there already, as after a training, stays, and `converted.weights` is all that is written.

    Returns:
        The path of the new file.

    Raises:
        OutputError: there is such a file already (`overwrite=True` replaces it), or it cannot be written.
        CfgError, WeightsError: the two do not belong together.
    """
    weights = Path(weights)
    from_checkpoint = is_checkpoint(weights)
    target = weights.with_suffix(".weights" if from_checkpoint else ".pt") if output is None else Path(output)
    if from_checkpoint and output is None and target.exists() and not overwrite and target.name != _CONVERTED:
        _logger.info("%s is there already and stays", target)
        target, overwrite = target.with_name(_CONVERTED), True
    if target.exists() and (not overwrite or target.samefile(weights)):
        raise OutputError(target, "is there already", "move it away, give output=, or overwrite=True")
    model = load_model(cfg, weights)
    if from_checkpoint:
        save_weights(model, target)
        if output is None:
            _link(target, target.with_name(_CONVERTED))
    else:
        save_checkpoint(target, model)
    _logger.info("converted %s to %s", weights, target)
    return target


def _link(target: Path, name: Path) -> None:
    """Give a file a second name; what had that name is replaced."""
    if target == name:
        return
    beside = name.with_name(f".{name.name}.part")
    beside.unlink(missing_ok=True)
    try:
        os.link(target, beside)
    except OSError:
        shutil.copyfile(target, beside)
    os.replace(beside, name)
