"""One protocol for everything that can run a cfg and its weights, and the table of what there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np

from utils.darknet import Network
from utils.deploy.darknet_library import DarknetLibraryEngine, darknet_missing
from utils.deploy.darknet_limits import darknet_problems
from utils.deploy.onnxruntime_engine import OnnxRuntimeEngine, onnxruntime_missing, onnxruntime_problems
from utils.deploy.opencv import OpenCvEngine, opencv_missing
from utils.deploy.opencv_limits import opencv_problems
from utils.deploy.torch_engine import TorchEngine, torch_problems
from utils.errors import EngineError


@runtime_checkable
class Engine(Protocol):
    """A pair of files, loaded and ready to run. threads: as it was opened with, None for the engine's own choice."""

    name: str
    threads: int | None

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        """What enters each head, the activation of the convolution before it applied; nothing is decoded.

        Args:
            x: (N, C, H, W) float32, RGB in [0, 1], any height and width that the network can take.

        Returns:
            One float32 array (N, C, gy, gx) per head, in cfg order.
        """
        ...


@dataclass(frozen=True)
class EngineKind:
    """A row of the table.

    open: (cfg_path, weights_path, *, threads, layers, epsilon_corrected) -> Engine.
    problems: why it could not run a network, or would compute something else.
    missing: what to install, None if all is there.
    own_epsilon: whether its batch norm has another epsilon than Darknet's 1e-5, so that its users see other numbers.
    """

    title: str
    open: Callable[..., Engine]
    problems: Callable[[Network], list[str]]
    missing: Callable[[], str | None]
    own_epsilon: bool


ENGINES: Mapping[str, EngineKind] = MappingProxyType({
    "torch": EngineKind("torch", TorchEngine, torch_problems, lambda: None, False),
    "opencv": EngineKind("OpenCV", OpenCvEngine, opencv_problems, opencv_missing, True),
    "onnxruntime": EngineKind("ONNX Runtime", OnnxRuntimeEngine, onnxruntime_problems, onnxruntime_missing, False),
    "darknet": EngineKind("Darknet (2018)", DarknetLibraryEngine, darknet_problems, darknet_missing, True),
})


def open_engine(name: str, cfg_path: str | Path, weights_path: str | Path, *, threads: int | None = None,
                layers: Sequence[int] | None = None, epsilon_corrected: bool = False) -> Engine:
    """Load a pair into an engine.

    Args:
        name: a key of ENGINES.
        threads: CPU threads; None leaves the choice to the engine.
        layers: let `heads` return the outputs of these layers instead of what the heads read.
        epsilon_corrected: make it compute with Darknet's batch-norm epsilon through a temporary copy of the weights.
            False runs the files as they are, which is what a user of that engine gets.

    Raises:
        EngineError: no such engine, it is not installed (with the install line), or it cannot run this cfg.
        CfgError, WeightsError: the files make no sense.
    """
    kind = engine_kind(name)
    missing = kind.missing()
    if missing:
        raise EngineError(name, f"{kind.title} is not installed", missing)
    return kind.open(cfg_path, weights_path, threads=threads, layers=layers, epsilon_corrected=epsilon_corrected)


def engine_problems(name: str, network: Network) -> list[str]:
    """Why an engine cannot run this network, or would silently compute something else; empty if it can.

    Each reason names the line of the cfg. Nothing is loaded and nothing needs to be installed.

    Raises:
        EngineError: no such engine.
    """
    return engine_kind(name).problems(network)


def engine_kind(name: str, table: Mapping[str, EngineKind] = ENGINES) -> EngineKind:
    """A row of the table; EngineError for a name that is not in it."""
    if name not in table:
        raise EngineError(name, "is no engine", f"choose among {', '.join(table)}")
    return table[name]
