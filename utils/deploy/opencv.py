"""OpenCV's DNN module (4.x): the engine most pruned Darknet pairs end up in, and the most independent one.

It parses the cfg and the weights itself, so an agreement covers the meaning of both files. Like AlexeyAB's Darknet
built without AVX it pools correctly; Darknet's AVX code (the default on CPUs, and hank-ai's) loses left neighbours in
stride-1 pooling of size 3 and more on wide maps, so heads behind an SPP block differ there by up to 0.3. Take OpenCV,
not an AVX build of Darknet, as the reference for such networks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from utils.darknet import Network, read_network, read_weights, write_cfg, write_weights
from utils.deploy.batch_norm import variances_for_opencv, with_variances
from utils.deploy.network_input import checked_input, head_inputs
from utils.deploy.opencv_limits import opencv_problems
from utils.deploy.optional import is_installed, optional_module
from utils.errors import EngineError

REQUIREMENT = "opencv-python-headless<5"
_ACTIVATION_LAYERS = frozenset({"leaky", "relu", "logistic", "tanh", "swish", "mish"})


class OpenCvEngine:
    """Runs a pair through cv2.dnn on the CPU.

    epsilon_corrected: run a temporary copy of the weights whose variances make OpenCV's epsilon (1e-6) compute what
    Darknet's (1e-5) does. Without it the very file is loaded, as a user's program would.
    """

    name = "opencv"

    def __init__(self, cfg_path: str | Path, weights_path: str | Path, *, threads: int | None = None,
                 layers: Sequence[int] | None = None, epsilon_corrected: bool = False) -> None:
        self.threads = threads
        self._cv2 = _importer()
        self._cfg, self._weights = Path(cfg_path), Path(weights_path)
        self._network = read_network(cfg_path)
        self._layers = head_inputs(self._network) if layers is None else tuple(layers)
        self._epsilon_corrected = epsilon_corrected
        # its Scale layer, into which [scale_channels] is turned, takes one image at a time
        self._batches = all(layer.kind != "scale_channels" for layer in self._network.layers)
        shape = self._network.input_shape
        self._size, self._net = (shape.height, shape.width), self._loaded(self._network)

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        """What enters each head for a batch (N, C, H, W) of any size: [(N, C, gy, gx)] float32, cfg order."""
        x = checked_input(x, self._network)
        if x.shape[2:] != self._size:
            self._size, self._net = x.shape[2:], self._loaded(self._network.resized(*x.shape[2:]))
        names = _output_names(self._net, self._network, self._layers)
        with _threads(self._cv2, self.threads), _errors(self._cv2, self._cfg):
            parts = [self._forward(part, names) for part in ([x] if self._batches else np.split(x, len(x)))]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _forward(self, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
        self._net.setInput(x)
        outputs = self._net.forward(names)
        return [np.array(output, np.float32).reshape(len(x), -1, *_map(output)) for output in outputs]

    def _loaded(self, network: Network) -> Any:
        """The network in OpenCV, from the files themselves, or from copies where size or variances must change."""
        problems = opencv_problems(network)
        if problems:
            raise EngineError("", "; ".join(problems), "use another engine, or change the cfg")
        for path in (self._cfg, self._weights):
            if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
                raise EngineError("", "OpenCV opens no file whose name is no UTF-8", "rename it")  # it would crash
        same_size = network.input_shape == self._network.input_shape
        with tempfile.TemporaryDirectory(prefix="bonsai-") as folder, _errors(self._cv2, self._cfg):
            cfg, weights = self._cfg, self._weights
            if not same_size:
                cfg = Path(folder, "model.cfg")
                write_cfg(cfg, network)
            held = read_weights(self._weights, self._network)  # OpenCV says nothing of a file that is too short
            if self._epsilon_corrected:
                weights = Path(folder, "model.weights")
                write_weights(weights, self._network, with_variances(held, variances_for_opencv))
            net = self._cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
        net.setPreferableBackend(self._cv2.dnn.DNN_BACKEND_OPENCV)
        net.setPreferableTarget(self._cv2.dnn.DNN_TARGET_CPU)
        return net


def opencv_missing() -> str | None:
    """What to install, or None if an OpenCV with a Darknet importer is here."""
    if not is_installed("cv2"):
        return f'pip install "{REQUIREMENT}"'
    try:
        _importer()
    except EngineError as error:
        return error.remedy
    return None


def _importer() -> ModuleType:
    cv2 = optional_module("cv2", REQUIREMENT)
    if not hasattr(cv2.dnn, "readNetFromDarknet"):
        raise EngineError("cv2", f"OpenCV {cv2.__version__} cannot read Darknet files any more",
                          f'pip install "{REQUIREMENT}"')
    return cv2


def _output_names(net: Any, network: Network, layers: Sequence[int]) -> list[str]:
    """OpenCV's names of the layers' outputs.

    The importer makes up to three layers of one section: `conv_5`, `bn_5`, and its activation as `leaky_6`, one
    number further.
    """
    names = list(net.getLayerNames())
    found = []
    for index in layers:
        activation = getattr(network.layers[index].options, "activation", "linear")
        if activation != "linear":
            own = [f"{activation}_{index + 1}"]
        else:
            own = [name for name in names if name.rpartition("_")[2] == str(index)
                   and name.rpartition("_")[0] not in _ACTIVATION_LAYERS]
        if not own or own[-1] not in names:
            raise EngineError(network.layers[index].where, f"OpenCV has no output for layer {index} "
                              f"([{network.layers[index].kind}])", "ask for another layer")
        found.append(own[-1])
    return found


def _map(output: np.ndarray) -> tuple[int, int]:
    return (output.shape[2], output.shape[3]) if output.ndim == 4 else (1, 1)


@contextmanager
def _threads(cv2: ModuleType, threads: int | None) -> Iterator[None]:
    """OpenCV's thread count is one per process: set while a network runs, then put back."""
    if threads is None:
        yield
        return
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@contextmanager
def _errors(cv2: ModuleType, cfg: Path) -> Iterator[None]:
    """One EngineError instead of an exception and the pages that OpenCV writes to stderr beside it."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # returns the level that was set
    try:
        yield
    except cv2.error as error:
        reason = " ".join(str(error).split())
        raise EngineError(cfg, f"OpenCV {cv2.__version__} cannot run this pair: {reason}",
                          "use another engine (ONNX Runtime), or change the cfg") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
