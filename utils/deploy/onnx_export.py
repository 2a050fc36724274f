"""A pair as an ONNX file that appears only once ONNX Runtime has computed from it what torch computes from the pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from utils.atomic import staged_files
from utils.darknet import Network, read_network, read_weights
from utils.deploy.engine import ENGINES, EngineKind
from utils.deploy.network_input import random_images
from utils.deploy.onnx_graph import INPUT_NAME, boxes_of, onnx_model
from utils.deploy.onnxruntime_engine import open_session
from utils.deploy.optional import optional_module
from utils.deploy.report import VerificationReport
from utils.deploy.torch_engine import torch_threads
from utils.deploy.verify import TOLERANCE, compare_pair
from utils.errors import EngineError, OutputError, VerificationError


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """What was written. inputs, outputs: names and shapes, "N" where any number of images goes."""

    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    report: VerificationReport


def export_onnx(cfg_path: str | Path, weights_path: str | Path, out: str | Path, *, size: tuple[int, int] | None = None,
                batch: int | None = None, opset: int = 13, decoded: bool = False, tolerance: float = TOLERANCE,
                threads: int | None = None, seed: int = 0) -> OnnxExport:
    """Write a pair as an ONNX file, read it back into ONNX Runtime, and compare that with torch running the pair.

    What the file's input and outputs are, `onnx_model` says. Boxes are compared in shares of the image.

    Args:
        out: the file; what stood there is replaced once the new one is verified, and stays otherwise.
        size: (height, width) of the input, pixels; None takes the cfg's.
        batch, opset, decoded: as `onnx_model`.
        tolerance, threads, seed: as `compare_pair`.

    Raises:
        VerificationError: ONNX Runtime computes something else from the file; the message has the numbers.
        EngineError: onnx or ONNX Runtime is not installed, or cannot run this network.
        CfgError, WeightsError: the two files make no sense, or not at this size.
        OutputError: the file cannot be written.
    """
    missing = ENGINES["onnxruntime"].missing()
    if missing:
        raise EngineError("onnxruntime", "ONNX Runtime is not installed", missing)
    network = read_network(cfg_path)
    if size is not None:
        network = network.resized(*size)
    model = onnx_model(network, read_weights(weights_path, network), opset=opset, batch=batch, decoded=decoded)
    shape = network.input_shape
    count, at_once = (3, 2) if batch is None else (max(batch, 2), batch)
    images = random_images(count, shape.channels, shape.height, shape.width, seed)
    with staged_files(Path(out)) as (file,):
        try:
            file.write_bytes(model.SerializeToString())
        except OSError as error:
            raise OutputError(out, f"cannot be written ({error.strerror})", "free some space or choose another folder"
                              ) from error
        inputs, outputs = _shapes(model.graph.input), _shapes(model.graph.output)
        del model  # as large as the weights
        report = compare_pair(cfg_path, weights_path, images, ("onnxruntime",), tolerance, threads=threads,
                              batch=at_once, table=_engines(file, network, decoded))
        if report.status == "differs":
            raise VerificationError(report.cfg, report.reason, "nothing was written; report it together with the pair")
        if report.status == "not verified":
            raise EngineError(report.cfg, f"not verified: {report.reason}", "nothing was written; another engine may run it")
    return OnnxExport(inputs, outputs, report)


def _shapes(tensors: Iterable[Any]) -> dict[str, tuple[int | str, ...]]:
    return {one.name: tuple(side.dim_param or side.dim_value for side in one.type.tensor_type.shape.dim)
            for one in tensors}


def _engines(file: Path, network: Network, decoded: bool) -> dict[str, EngineKind]:
    """torch on the pair, and ONNX Runtime on the file whatever the pair."""
    written = replace(ENGINES["onnxruntime"], open=partial(_OnnxFile, file, network, decoded), problems=lambda _: [])
    reference = replace(ENGINES["torch"], open=partial(_TorchPredictions, network)) if decoded else ENGINES["torch"]
    return {"torch": reference, "onnxruntime": written}


class _OnnxFile:
    """An ONNX file of ours in ONNX Runtime; boxes are divided among the heads, in shares of the image."""

    name = "onnxruntime"

    def __init__(self, file: Path, network: Network, decoded: bool, *_: Path, threads: int | None, **__: Any) -> None:
        self.threads, self._network, self._decoded = threads, network, decoded
        self._session = open_session(optional_module("onnxruntime", "onnxruntime"), str(file), network.path, threads)

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        outputs = self._session.run(None, {INPUT_NAME: x})
        return _shares(outputs[0], self._network) if self._decoded else list(outputs)


class _TorchPredictions:
    """The boxes that models.Darknet makes of a pair, divided among the heads, in shares of the image."""

    name = "torch"

    def __init__(self, network: Network, cfg_path: Path, weights_path: Path, *, threads: int | None) -> None:
        from models import load_model  # torch takes a second to import; the other engines do without

        self.threads, self._network = threads, network
        self._model = load_model(cfg_path, weights_path).fuse()

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        import torch

        with torch_threads(self.threads), torch.inference_mode():
            predictions, _ = self._model(torch.from_numpy(np.ascontiguousarray(x)))
        return _shares(predictions.numpy(), self._network)


def _shares(predictions: np.ndarray, network: Network) -> list[np.ndarray]:
    """(N, boxes, 5 + classes) in pixels -> per head (N, its boxes, 5 + classes), cx to h in shares of the image.

    So what is compared with one tolerance is of one kind: near or below 1.
    """
    shape = network.input_shape
    unit = np.ones(predictions.shape[2], np.float32)
    unit[:4] = shape.width, shape.height, shape.width, shape.height
    ends: Sequence[int] = np.cumsum([boxes_of(head) for head in network.heads])[:-1]
    return np.split(predictions / unit, ends, axis=1)
