"""Which parameters learn, and how: parameter groups for weight decay, optimisers by name, frozen layers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, cast

import torch
from torch import nn

from models import Darknet
from utils.darknet import Network, head_convolutions
from utils.errors import OptionError
from utils.layers import ConvolutionalLayer
from utils.layers.plain import ConnectedLayer

Kind = Literal["sgd", "adam", "adamw"]


def build_optimizer(model: Darknet, kind: Kind = "sgd", *, lr: float, momentum: float = 0.9,
                    weight_decay: float = 0.0, beside: nn.Module | None = None) -> torch.optim.Optimizer:
    """An optimiser with two parameter groups, whose "name" is "decay" or "no_decay".

    Weight decay pulls at the kernels of convolutions and [connected] layers, not at gamma, beta, bias, [implicit] or the
    weights of shortcuts. Parameters that do not learn are in no group, and those of several layers (share_index) in one.

    Args:
        kind: "sgd" (Nesterov's, plain where momentum is 0), "adam" (decay as part of the gradient) or "adamw" (decay
            beside it).
        lr: learning rate of both groups.
        momentum: of SGD; for Adam the first beta. The second is 0.999.
        weight_decay: of the group "decay".
        beside: layers that learn with the network and are no part of it; their kernels decay, too.

    Raises:
        OptionError: a number that no optimiser can use, or every layer is frozen.
    """
    _check_numbers(lr, momentum, weight_decay)
    decay, rest = _parameter_groups(model)
    if not decay and not rest:
        raise OptionError("--freeze", "leaves nothing to train: all layers with weights are frozen", "freeze fewer layers")
    if beside is not None:
        for parameter in beside.parameters():
            (decay if parameter.dim() > 1 else rest).append(parameter)
    groups: list[dict[str, Any]] = [{"name": "decay", "params": decay, "weight_decay": weight_decay},
                                    {"name": "no_decay", "params": rest, "weight_decay": 0.0}]
    match kind:
        case "sgd":
            return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0)
        case "adam":
            return torch.optim.Adam(groups, lr=lr, betas=(momentum, 0.999))
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, betas=(momentum, 0.999))
    raise OptionError("--optimizer", f"there is no {kind!r}", "choose sgd, adam or adamw")


def freeze(model: Darknet, spec: int | str) -> tuple[int, ...]:
    """Let some layers keep their weights, and say which; `set_train_mode` keeps their statistics, too.

    Weights that a frozen layer shares with another one (share_index) are frozen for both.

    Args:
        spec: how many layers, from the first on; or "backbone", the layers that all heads need, up to the first one that
            enlarges a map, the convolutions before the heads not among them.

    Raises:
        OptionError: more layers than there are, or another word.
    """
    word = str(spec).strip().lower()
    count = len(model.layers)
    if word == "backbone":
        return _freeze(model, _backbone(model.network))
    if not word.isdecimal():
        raise OptionError("--freeze", f"{spec!r} is no number of layers", "write for example 75, or backbone")
    if int(word) > count:
        raise OptionError("--freeze", f"{model.network.path} has {count} layers, not {word}",
                          f"write a number below {count}")
    return _freeze(model, tuple(range(int(word))))


def freeze_all_but_heads(model: Darknet) -> tuple[int, ...]:
    """Let only the convolutions right before the heads learn (the ancestor's --transfer); the frozen layers."""
    free = set(head_convolutions(model.network))
    return _freeze(model, tuple(index for index in range(len(model.layers)) if index not in free))


def set_train_mode(model: nn.Module, frozen: Collection[int] = ()) -> None:
    """As model.train(), but the frozen layers stay in eval(): their batch norm keeps its statistics.

    Args:
        model: a Darknet, also within a DistributedDataParallel.
    """
    model.train()
    layers = cast(Darknet, getattr(model, "module", model)).layers
    for index in frozen:
        layers[index].eval()


def _check_numbers(lr: float, momentum: float, weight_decay: float) -> None:
    if not 0 < lr < float("inf"):
        raise OptionError("--lr0", f"{lr} is no learning rate", "write a number above 0, such as 0.002")
    if not 0 <= momentum < 1:
        raise OptionError("--hyp momentum", f"{momentum} is no momentum", "write 0 or more, and less than 1")
    if not 0 <= weight_decay < float("inf"):
        raise OptionError("--hyp weight_decay", f"{weight_decay} is no weight decay", "write 0 or more")


def _parameter_groups(model: Darknet) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    kernels = {id(layer.weight) for layer in model.layers if isinstance(layer, ConvolutionalLayer | ConnectedLayer)}
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]  # each once
    return ([parameter for parameter in learning if id(parameter) in kernels],
            [parameter for parameter in learning if id(parameter) not in kernels])


def _freeze(model: Darknet, layers: tuple[int, ...]) -> tuple[int, ...]:
    for index in layers:
        model.layers[index].requires_grad_(False)
    return layers


def _backbone(network: Network) -> tuple[int, ...]:
    common = set(range(len(network.layers)))
    for head in network.heads:
        common &= network.needed_by(head.index)
    common -= {*head_convolutions(network), *(head.index for head in network.heads)}
    larger = [layer.index for layer in network.layers
              if layer.kind in ("upsample", "reorg", "reorg3d") and layer.shape.height > layer.input_shapes[0].height]
    end = min(larger, default=len(network.layers))
    return tuple(sorted(index for index in common if index < end))
