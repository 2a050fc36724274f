"""A real Darknet: Debian's package `darknet` (pjreddie, September 2018), through its shared library.

It reads both files with code that is neither ours nor OpenCV's. It knows the features of its time only (YOLOv2, YOLOv3;
see darknet_limits.py), and adds its epsilon, 1e-6, to the root of the variance instead of below it. The package is a
plain build without AVX code. Of newer Darknets take builds without AVX as a reference: their AVX pooling is wrong for
stride 1 and size 3 or more on maps wider than 8 + size - 1 (heads of yolov4 at 416 differ by 0.3).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.darknet import Network, read_network, read_weights, write_cfg, write_weights
from utils.deploy.batch_norm import variances_for_pjreddie, with_variances
from utils.deploy.darknet_limits import darknet_problems
from utils.deploy.network_input import checked_input, head_inputs
from utils.errors import EngineError

LIBRARY = Path("/usr/lib/darknet/libdarknet.so")
HEADER = Path("/usr/lib/darknet/include/darknet.h")
_INSTALL = "apt-get install darknet (Debian and Ubuntu)"
_WORKER = Path(__file__).with_name("darknet_worker.py")


class DarknetLibraryEngine:
    """Runs a pair through libdarknet.so in a process of its own, which loads the files anew for every call.

    Good for comparing, not for measuring time. epsilon_corrected: run a temporary copy of the weights whose variances
    make its epsilon compute what AlexeyAB's does.
    """

    name = "darknet"

    def __init__(self, cfg_path: str | Path, weights_path: str | Path, *, threads: int | None = None,
                 layers: Sequence[int] | None = None, epsilon_corrected: bool = False) -> None:
        missing = darknet_missing()
        if missing:
            raise EngineError("darknet", f"{LIBRARY} is not on this machine", missing)
        self.threads = threads
        self._cfg, self._weights = Path(cfg_path), Path(weights_path)
        self._network = read_network(cfg_path)
        problems = darknet_problems(self._network)
        if problems:
            raise EngineError("", "; ".join(problems), "use another engine, or change the cfg")
        self._layers = head_inputs(self._network) if layers is None else tuple(layers)
        self._epsilon_corrected = epsilon_corrected
        self._held = read_weights(weights_path, self._network)  # Darknet says nothing of a file that is too short

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        """What enters each head for a batch (N, C, H, W) of any size: [(N, C, gy, gx)] float32, cfg order."""
        x = checked_input(x, self._network)
        network = self._network
        if x.shape[2:] != (network.input_shape.height, network.input_shape.width):
            network = network.resized(*x.shape[2:])
        with tempfile.TemporaryDirectory(prefix="bonsai-") as folder:
            cfg, weights = self._files(Path(folder), network)
            np.save(Path(folder, "images.npy"), x)
            results = Path(folder, "results.npz")
            self._run([str(LIBRARY), str(HEADER), str(cfg), str(weights), str(Path(folder, "images.npy")),
                       ",".join(map(str, self._layers)), str(results)], results)
            with np.load(results) as found:
                self._check(network, found)
                return [found[f"output_{i}"] for i in range(len(self._layers))]

    def _files(self, folder: Path, network: Network) -> tuple[Path, Path]:
        cfg, weights = self._cfg.resolve(), self._weights.resolve()
        if network is not self._network:
            cfg = folder / "model.cfg"
            write_cfg(cfg, network)
        if self._epsilon_corrected:
            weights = folder / "model.weights"
            write_weights(weights, self._network, with_variances(self._held, variances_for_pjreddie))
        return cfg, weights

    def _run(self, arguments: list[str], results: Path) -> None:
        environment = dict(os.environ)
        if self.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        done = subprocess.run([sys.executable, str(_WORKER), *arguments], capture_output=True, text=True,
                              errors="replace", env=environment, check=False)
        if done.returncode or not results.is_file():
            said = (done.stderr + done.stdout).strip().splitlines()
            raise EngineError(self._cfg, f"Darknet ended with code {done.returncode}"
                              + (f": {said[-1].strip()}" if said else ""), "use another engine, or change the cfg")

    def _check(self, network: Network, found: np.lib.npyio.NpzFile) -> None:
        """Compare what Darknet says of its layers with what the cfg says: a wrong structure layout shows here."""
        if int(found["layers"]) != len(network.layers):
            raise EngineError(self._cfg, f"Darknet sees {int(found['layers'])} layers, we see {len(network.layers)}",
                              "use another engine")
        for i, index in enumerate(self._layers):
            shape = network.layers[index].shape
            theirs = found[f"output_{i}"].shape[1:]
            if theirs != (shape.channels, shape.height, shape.width):
                raise EngineError(network.layers[index].where, f"layer {index} is {theirs} in Darknet and {shape} here",
                                  "use another engine")


def darknet_missing() -> str | None:
    """What to install, or None if the package is here."""
    return None if LIBRARY.is_file() and HEADER.is_file() else _INSTALL
