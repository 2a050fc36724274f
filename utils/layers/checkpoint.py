"""PyTorch checkpoints (.pt): reading them without running code, and finding a network's arrays in their tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from utils.atomic import atomic_write
from utils.darknet import Header, Network, Weights, parse_network
from utils.errors import WeightsError

_RESERVED = ("cfg", "cfg_path", "header", "model")
# `layers.3.bn.weight` is ours; `module_list.3.BatchNorm2d.weight` and `module_list.3.batch_norm_3.weight` are names in
# the ultralytics/yolov3 family of 2019; `module.` stands in front of what a DistributedDataParallel model saved.
_NAME = re.compile(r"(?:module\.)?(?:layers|module_list)\.(\d+)\.(?:(\w+)\.)?(\w+)")
_OF_BATCH_NORM = {"bias": "beta", "weight": "gamma", "running_mean": "mean", "running_var": "var"}


@dataclass(frozen=True)
class Checkpoint:
    """What a .pt file holds.

    path: the file. cfg: text of the network's cfg, and cfg_path where it was read from; None in files of other projects.
    header: of a .weights file made from it. state: tensors by name, as `state_dict()` gave them.
    extra: everything else, for example the epoch and the optimizer's state.
    """

    path: Path
    cfg: str | None
    cfg_path: str | None
    header: Header
    state: Mapping[str, Tensor]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def network(self) -> Network:
        """The network that was saved; WeightsError if the file does not say which."""
        if self.cfg is None:
            raise WeightsError(self.path, "holds no cfg", "give the .cfg that it was trained with")
        return parse_network(self.cfg.encode("latin-1"), self.cfg_path or str(self.path))

    def weights_for(self, network: Network) -> Weights:
        """The arrays of the layers of `network`.

        Raises:
            WeightsError: an array is missing or has another shape; names the first layer that differs and, where the
                file knows it, the cfg that the file belongs to.
        """
        found = _arrays_by_layer(self.state)
        layers = []
        for layer in network.layers:
            arrays = {}
            for spec in layer.arrays:
                tensor = found.get(layer.index, {}).get(spec.name)
                if tensor is None or tuple(tensor.shape) != spec.shape:
                    holds = "none" if tensor is None else f"shape {tuple(tensor.shape)}"
                    belongs = f"these are weights of {self.cfg_path}" if self.cfg_path else "it belongs to another cfg"
                    raise WeightsError(self.path, f"layer {layer.index} ({layer.where}) wants {spec.name} of shape "
                                       f"{spec.shape}, the file holds {holds}", belongs)
                arrays[spec.name] = np.array(tensor.detach().float().numpy(), order="C")
            layers.append(arrays)
        return Weights(self.header, tuple(layers), len(layers))


def is_checkpoint(path: str | Path) -> bool:
    """Whether a file is a PyTorch checkpoint and not a .weights file; by its first bytes, or its name if it is absent."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(4)
    except OSError:
        return Path(path).suffix in (".pt", ".pth")
    return start == b"PK\x03\x04" or start[:2] == b"\x80\x02"


def write_checkpoint(path: str | Path, network: Network, header: Header, state: Mapping[str, Tensor],
                     extra: Mapping[str, Any]) -> None:
    """Write a .pt file, all or nothing: the cfg's text, the tensors, and `extra` (tensors and plain Python values).

    Raises:
        ValueError: `extra` uses a name of ours. OutputError: the file cannot be written.
    """
    clash = sorted(set(extra) & set(_RESERVED))
    if clash:
        raise ValueError(f"a checkpoint's own entry cannot be called {clash[0]!r}")
    entries = {
        "cfg": network.document.to_bytes().decode("latin-1"),
        "cfg_path": network.path,
        "header": [header.major, header.minor, header.revision, header.seen],
        "model": dict(state),
        **extra,
    }
    with atomic_write(path) as file:
        torch.save(entries, file)


def _why_unreadable(error: Exception) -> str:
    """In a few words; torch's own begin with its history, and name what it refused to run further down."""
    text = str(error)
    named = re.search(r"nsupported (?:global: |class: )?(?:GLOBAL )?(\w+\.[\w.]*\w)", text)
    if named is not None:
        return f"it holds code or an object: {named[1]}"
    told = text.partition("WeightsUnpickler error: ")[2] or text
    return told.splitlines()[0][:120] if told else type(error).__name__


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a .pt file onto the CPU: ours, or one of the ultralytics/yolov3 family; no code in it is run.

    Raises:
        WeightsError: no such file, no checkpoint, pickled classes in it, or no tensors under "model".
    """
    path = Path(path)
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            entries = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(path, "does not exist", "check the path") from None
    except IsADirectoryError:
        raise WeightsError(path, "is a folder", "give a .pt file") from None
    except Exception as error:  # a damaged pickle raises whatever its opcodes happen to run into
        if not is_checkpoint(path):
            raise WeightsError(path, "is no PyTorch checkpoint", "give a .pt file") from error
        raise WeightsError(path, f"cannot be read as a checkpoint ({_why_unreadable(error)})",
                           "only files of tensors and plain values are read, no pickled models") from error
    state = entries.get("model", entries) if isinstance(entries, Mapping) else None
    if not isinstance(state, Mapping) or not any(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(path, 'holds no tensors under "model"', "save a state_dict(), not a model")
    own = state is not entries and isinstance(entries.get("cfg"), str)  # others call other things so
    extra = {key: value for key, value in entries.items() if key not in _RESERVED} if state is not entries else {}
    cfg, cfg_path = (entries["cfg"], entries.get("cfg_path")) if own else (None, None)
    try:
        header = Header(*map(int, entries["header"])) if own and "header" in entries else Header()
    except (TypeError, ValueError):
        raise WeightsError(path, "has no header of four whole numbers", "give a file that was saved by this program") from None
    return Checkpoint(path, cfg, cfg_path, header, {k: v for k, v in state.items() if isinstance(v, Tensor)}, extra)


def _arrays_by_layer(state: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    found: dict[int, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        match = _NAME.fullmatch(key)
        if match is None:
            continue
        index, module, name = int(match[1]), (match[2] or "").lower(), match[3]
        if module.startswith(("bn", "batch")):
            name = _OF_BATCH_NORM.get(name, name)
        found.setdefault(index, {})[name] = tensor
    return found


def _numpy_scalars() -> list[Any]:
    """What a checkpoint of 2019 may hold beside tensors: the best mAP as a numpy number."""
    number = type(np.float64(0).dtype)
    scalar = np.float64(0).__reduce__()[0]
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, number]
