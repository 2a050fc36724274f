"""The .weights format: a header and, layer after layer, float32 arrays (parser.c load_weights_upto, save_weights_upto)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from utils.atomic import atomic_write
from utils.darknet.network import Layer, Network
from utils.darknet.sections import ArraySpec
from utils.errors import WeightsError

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Header:
    """The first bytes of a .weights file. seen: images trained on; Darknet stops when they reach max_batches."""

    major: int = 0
    minor: int = 2
    revision: int = 5
    seen: int = 0

    @property
    def format(self) -> str:
        """Its `struct` format: `seen` has 8 bytes from version 0.2 on and 4 before."""
        return "<iiiQ" if self.major * 10 + self.minor >= 2 else "<iiiI"

    @property
    def transposed(self) -> bool:
        """Whether the matrices of [connected] layers are stored transposed."""
        return self.major > 1000 or self.minor > 1000

    def to_bytes(self) -> bytes:
        """16 or 20 bytes, little-endian."""
        return struct.pack(self.format, self.major, self.minor, self.revision, self.seen)


@dataclass(frozen=True)
class Weights:
    """The arrays of a network.

    layers: one mapping per layer, array name to float32 array; {} for a layer without arrays or beyond `held`.
    held: the file held layers 0 to held - 1; `len(layers)` for a whole file.
    """

    header: Header
    layers: tuple[Arrays, ...]
    held: int

    @property
    def is_whole(self) -> bool:
        """Whether every layer's arrays are there."""
        return self.held == len(self.layers)

    def with_layers(self, changes: Mapping[int, Arrays]) -> Weights:
        """The same weights with the arrays of some layers replaced."""
        layers = list(self.layers)
        for index, arrays in changes.items():
            layers[index] = arrays
        return replace(self, layers=tuple(layers))


def read_weights(path: str | Path, network: Network, *, allow_prefix: bool = False,
                 cutoff: int | None = None) -> Weights:
    """Read a .weights file for `network`; the arrays are views of one buffer of the file's size.

    Args:
        allow_prefix: accept a file that ends at the border of a layer (darknet53.conv.74): a start for training.
        cutoff: read the first `cutoff` layers only, whatever the file holds behind them (weights for other classes).

    Raises:
        WeightsError: unreadable, not a .weights file, of another length than the cfg asks for, or not finite.
    """
    path = Path(path)
    wanted = network.layers if cutoff is None else network.layers[:cutoff]
    header, floats, total = _read_floats(path, sum(layer.parameters for layer in wanted))
    if not total and network.parameters:
        raise WeightsError(path, "holds a header and no numbers", "the download was cut off; fetch it again")
    layers: list[Arrays] = []
    offset, held = 0, 0
    for layer in wanted:
        if offset == total and layer.stored:
            return _prefix(path, network, header, layers, held, allow_prefix)
        arrays: dict[str, np.ndarray] = {}
        for spec in layer.stored:
            if offset + spec.size > total:
                raise _starved(path, network, layer, spec, total - offset, total)
            arrays[spec.name] = _shaped(floats[offset:offset + spec.size], spec, layer, header)
            offset += spec.size
        layers.append(arrays)
        if layer.stored:
            held = layer.index + 1
    if len(wanted) < len(network.layers):
        return _prefix(path, network, header, layers, len(layers), allowed=True)
    if offset < total:
        raise WeightsError(path, f"holds {total - offset} floats more than {network.path} asks for ({offset})",
                           "it was made for another cfg: other classes (filters= before the heads), other layers, "
                           "or a cfg that was pruned while the weights were not")
    _check_finite(path, network, layers)
    return Weights(header, tuple(layers), len(layers))


def read_header(path: str | Path) -> Header:
    """The header of a .weights file alone.

    Raises:
        WeightsError: unreadable, or not a .weights file: too short, a Git LFS pointer, a web page, a checkpoint.
    """
    with _opened(Path(path)) as file:
        return _header(Path(path), file.read(20))[0]


def float_count(path: str | Path) -> int:
    """How many numbers a .weights file holds, by its length; WeightsError as `read_header`."""
    header = read_header(path)
    return (Path(path).stat().st_size - len(header.to_bytes())) // 4


def write_weights(path: str | Path, network: Network, weights: Weights, *, seen: int | None = None) -> None:
    """Write a .weights file, all or nothing.

    Args:
        seen: images trained on, for the header; None keeps what `weights.header` says. Darknet ends a training at once
            when it reaches batch * max_batches, so a pruned pair gets 0.

    Raises:
        WeightsError: an array is missing or has another shape than the cfg asks for.
        OutputError: the file cannot be written.
    """
    header = weights.header if seen is None else replace(weights.header, seen=seen)
    if header.seen >= 2**32 and header.format == "<iiiI":  # 4 bytes are not enough for it
        header = replace(header, major=0, minor=2)
    check_arrays(network, weights)
    with atomic_write(path) as file:
        file.write(header.to_bytes())
        for layer, arrays in zip(network.layers, weights.layers, strict=True):
            for spec in layer.stored:
                file.write(_stored(arrays[spec.name], spec, layer, header).data)


def check_arrays(network: Network, weights: Weights) -> None:
    """Raise a WeightsError unless every stored array of the network is there, float32 and of the right shape."""
    if len(weights.layers) != len(network.layers):
        raise WeightsError(network.path, f"has {len(network.layers)} layers, the weights {len(weights.layers)}",
                           "use weights of this very cfg")
    for layer, arrays in zip(network.layers, weights.layers, strict=True):
        for spec in layer.stored:
            array = arrays.get(spec.name)
            if array is None or array.shape != spec.shape or array.dtype != np.float32:
                found = "no such array" if array is None else f"{array.dtype} {array.shape}"
                raise WeightsError(layer.where, f"layer {layer.index} wants {spec.name} as float32 {spec.shape}, "
                                   f"the weights hold {found}", "use weights of this very cfg")


def initial_weights(network: Network, seed: int = 0) -> Weights:
    """Weights to start training from, as Darknet draws them.

    Kernels: sqrt(2 / fan-in) times uniform(-1, 1); gamma and var 1, the rest 0; shortcut weights 1. Arrays that a
    file would not store (dontload) are there, too.
    """
    rng = np.random.default_rng(seed)
    layers = tuple({spec.name: _initial(layer, spec, rng) for spec in layer.arrays} for layer in network.layers)
    return Weights(Header(), layers, len(layers))


def _initial(layer: Layer, spec: ArraySpec, rng: np.random.Generator) -> np.ndarray:
    if spec.name in ("gamma", "var") or layer.kind == "shortcut":
        return np.ones(spec.shape, np.float32)
    if spec.name != "weight":
        return np.zeros(spec.shape, np.float32)
    if layer.kind == "implicit":
        return rng.normal(0, 0.02, spec.shape).astype(np.float32)
    fan_in = spec.size // spec.shape[0]
    drawn = rng.random(spec.shape, np.float32)
    drawn *= 2
    drawn -= 1
    drawn *= np.float32(np.sqrt(2 / fan_in))
    return drawn


def _read_floats(path: Path, most: int) -> tuple[Header, np.ndarray, int]:
    """The header, the numbers behind it but no more than `most`, and how many there are: a file may be of any size."""
    with _opened(path) as file:
        header, offset = _header(path, file.read(20))
        file.seek(0, 2)
        size = file.tell() - offset
        if size % 4:
            raise WeightsError(path, f"ends within a number ({size % 4} bytes over)",
                               "the download was cut off; fetch it again")
        file.seek(offset)
        return header, np.fromfile(file, "<f4", count=min(most, size // 4)), size // 4


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file; a WeightsError for what the disk says, also while it is read."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise WeightsError(path, "is a device or a pipe", "give a .weights file")
        with path.open("rb") as file:
            yield file
    except IsADirectoryError:
        raise WeightsError(path, "is a folder", "give a .weights file") from None
    except FileNotFoundError:
        raise WeightsError(path, "does not exist", "check the path; weights/download.sh fetches the official files"
                           ) from None
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})", "check its permissions") from error


def _header(path: Path, start: bytes) -> tuple[Header, int]:
    if start.startswith(b"version https://git"):
        raise WeightsError(path, "is a Git LFS pointer, not the file itself", "run `git lfs pull` in its repository")
    if start.startswith(b"PK\x03\x04"):
        raise WeightsError(path, "is a PyTorch checkpoint or another zip archive",
                           "give a Darknet .weights file, or convert the checkpoint with models.convert")
    if start.lstrip()[:1] == b"<":
        raise WeightsError(path, "is an HTML page", "the download got a web page instead of the file; fetch it again")
    try:
        major, minor, revision = struct.unpack_from("<3i", start)
        header = Header(major, minor, revision)
        (seen,) = struct.unpack_from(f"<{header.format[-1]}", start, 12)
    except struct.error:
        raise WeightsError(path, f"is {'empty' if not start else f'only {len(start)} bytes long'}",
                           "a .weights file begins with a header of 20 bytes; the download was cut off") from None
    return replace(header, seen=seen), struct.calcsize(header.format)


def _prefix(path: Path, network: Network, header: Header, layers: list[Arrays], held: int,
            allowed: bool) -> Weights:
    if not allowed:
        raise WeightsError(path, f"holds layers 0 to {held - 1} of {len(network.layers)} only: a start for training, "
                           "not a trained network", f"give the whole weights of {network.path}")
    _check_finite(path, network, layers)
    rest: tuple[Arrays, ...] = ({},) * (len(network.layers) - len(layers))
    return Weights(header, (*layers, *rest), held)


def _starved(path: Path, network: Network, layer: Layer, spec: ArraySpec, left: int, total: int) -> WeightsError:
    return WeightsError(path, f"ends too early: layer {layer.index} ([{layer.kind}], {layer.where}) wants {spec.size} "
                        f"floats for {spec.name}, {left} are left ({total} in the file, {network.parameters} wanted)",
                        "other classes or another cfg than it was trained with, or a download that was cut off")


def _shaped(flat: np.ndarray, spec: ArraySpec, layer: Layer, header: Header) -> np.ndarray:
    if spec.file_shape is not None:
        return flat.reshape(spec.file_shape).T.reshape(spec.shape)
    if layer.kind == "connected" and spec.name == "weight" and header.transposed:
        return np.ascontiguousarray(flat.reshape(spec.shape[::-1]).T)
    return flat.reshape(spec.shape)


def _stored(array: np.ndarray, spec: ArraySpec, layer: Layer, header: Header) -> np.ndarray:
    if spec.file_shape is not None:
        array = array.reshape(spec.file_shape[::-1]).T
    elif layer.kind == "connected" and spec.name == "weight" and header.transposed:
        array = array.T
    return np.ascontiguousarray(array, "<f4")


def _check_finite(path: Path, network: Network, layers: list[Arrays]) -> None:
    for layer, arrays in zip(network.layers, layers, strict=False):
        for name, array in arrays.items():
            with np.errstate(invalid="ignore"):  # inf - inf
                total = np.sum(array, dtype=np.float64)
            if not np.isfinite(total):
                bad = int(array.size - np.isfinite(array).sum())
                raise WeightsError(path, f"{bad} of {array.size} numbers in {name} of layer {layer.index} "
                                   f"([{layer.kind}], {layer.where}) are NaN or infinite",
                                   "the training diverged; take an earlier file (Darknet keeps one in backup/)")
