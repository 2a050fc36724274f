"""ONNX Runtime: the network as an ONNX graph of our own writing, run by an arithmetic that is not ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from utils.darknet import Network, read_network, read_weights
from utils.deploy.network_input import checked_input
from utils.deploy.onnx_graph import INPUT_NAME, onnx_model, onnx_problems
from utils.deploy.optional import is_installed, optional_module
from utils.errors import EngineError


class OnnxRuntimeEngine:
    """Runs a pair through ONNX Runtime on the CPU.

    The cfg and the weights are read by our own reader (ONNX knows no Darknet files), so an agreement says less than
    OpenCV's: it covers the graph and the arithmetic, not the meaning of the two files.
    """

    name = "onnxruntime"

    def __init__(self, cfg_path: str | Path, weights_path: str | Path, *, threads: int | None = None,
                 layers: Sequence[int] | None = None, epsilon_corrected: bool = False) -> None:
        self.threads = threads
        self._network = read_network(cfg_path)
        self._weights = read_weights(weights_path, self._network)
        self._layers = layers
        self._runtime = optional_module("onnxruntime", "onnxruntime")
        shape = self._network.input_shape
        self._size, self._session = (shape.height, shape.width), self._opened(self._network)

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        """What enters each head for a batch (N, C, H, W) of any size: [(N, C, gy, gx)] float32, cfg order."""
        x = checked_input(x, self._network)
        if x.shape[2:] != self._size:
            self._size, self._session = x.shape[2:], self._opened(self._network.resized(*x.shape[2:]))
        return list(self._session.run(None, {INPUT_NAME: x}))

    def _opened(self, network: Network) -> Any:
        graph = onnx_model(network, self._weights, layers=self._layers).SerializeToString()
        return open_session(self._runtime, graph, network.path, self.threads)


def open_session(runtime: ModuleType, model: bytes | str, where: str, threads: int | None = None) -> Any:
    """An onnxruntime.InferenceSession on the CPU.

    Args:
        runtime: the onnxruntime package.
        model: an ONNX model's bytes, or the path of its file.
        where: what an error names.

    Raises:
        EngineError: ONNX Runtime does not take the model.
    """
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes have no common base below Exception
        reason = " ".join(str(error).split())
        raise EngineError(where, f"ONNX Runtime refuses the graph: {reason}",
                          "report it with the cfg; another engine may run it") from error


def onnxruntime_problems(network: Network) -> list[str]:
    """Why ONNX Runtime could not run this network; see `onnx_problems`."""
    return onnx_problems(network)


def onnxruntime_missing() -> str | None:
    """What to install, or None if everything is here."""
    absent = [name for name in ("onnx", "onnxruntime") if not is_installed(name)]
    return f"pip install {' '.join(absent)}" if absent else None
