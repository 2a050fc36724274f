"""A network around a single layer, and the time that the layer adds to it in an engine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.darknet import Layer, Network, Shape, initial_weights, parse_network, write_cfg, write_weights
from utils.darknet.document import Section
from utils.deploy.engine import open_engine
from utils.deploy.network_input import random_images
from utils.errors import EngineError

TASK_MS = 15.0    # time for each of several networks that run in turn, about
ROUNDS = (2, 8)   # but no fewer and no more runs of each than these

_DROPPED = frozenset({"layers", "from", "share_index", "dontload", "dontloadscales"})


@dataclass(frozen=True)
class Probe:
    """A layer in a network of its own: 1x1 convolutions make what it reads, and one channel of its output is sliced off.

    layer, section: where the layer comes from. inputs: the shapes that it reads, in its order. options: what its section
    says instead. copies: how often it is there; each has its own inputs, so that no engine merges them.
    """

    layer: Layer
    section: Section
    inputs: tuple[Shape, ...]
    options: Mapping[str, int]
    copies: int = 1

    def network(self) -> tuple[Network, list[int]]:
        """The network, and the layers that are its outputs."""
        return self._network(with_layer=True)

    def surroundings(self) -> tuple[Network, list[int]]:
        """The network without the layer: its inputs are sliced instead."""
        return self._network(with_layer=False)

    def _network(self, *, with_layer: bool) -> tuple[Network, list[int]]:
        largest = max(self.inputs, key=lambda shape: shape.height * shape.width)
        widths = {shape.channels for shape in self.inputs}
        root = next(filters for filters in range(4, 99, 4) if filters not in widths)  # a [shortcut] would read past it
        texts = [_text("net", {"width": largest.width, "height": largest.height, "channels": 3}), _stem(root)]
        outputs = []
        for _ in range(self.copies):
            stems: list[int] = []
            for shape in reversed(self.inputs):  # a layer's first input is the layer before it
                texts += [_text("route", {"layers": 0}), _stem(shape.channels)]
                if (shape.height, shape.width) != (largest.height, largest.width):
                    texts.append(self._shrunk(shape))
                stems.insert(0, len(texts) - 2)
            ends = dict(zip(stems, (shape.channels for shape in self.inputs), strict=True))
            if with_layer:
                texts.append(self._section(stems))
                ends = {len(texts) - 2: parse_network("\n".join(texts)).layers[-1].shape.channels}
            for end, channels in ends.items():
                if with_layer and self.layer.kind == "connected":  # OpenCV sees no channels there
                    outputs.append(end)
                    continue
                texts.append(_text("route", {"layers": end, "groups": channels, "group_id": 0}))
                outputs.append(len(texts) - 2)
        return parse_network("\n".join(texts), f"<probe of {self.layer.where}>"), outputs

    def _shrunk(self, shape: Shape) -> str:
        if (shape.height, shape.width) != (1, 1):
            raise EngineError(self.layer.where, f"layer {self.layer.index} reads maps of unequal sizes",
                              "its latency cannot be measured alone")
        return "[avgpool]"

    def _section(self, stems: Sequence[int]) -> str:
        options = {option.key: option.value for option in self.section.by_key.values() if option.key not in _DROPPED}
        if self.layer.kind == "route":
            options["layers"] = ",".join(map(str, stems))
        elif len(stems) > 1:
            options["from"] = ",".join(map(str, stems[1:]))
        return _text(self.section.name, {**options, **self.options})


def added_ms(probes: Sequence[Probe], engine: str, threads: int | None = None) -> list[float]:
    """Milliseconds that one copy of each probe's layer takes in an engine, 0 or more.

    All run in turn, and the fastest run of each counts: another process can only make a run slower. Probes that read
    the same share their surroundings.

    Raises:
        EngineError: the engine is missing, or it cannot run such a layer.
    """
    surroundings = {(probe.inputs, probe.copies): probe.surroundings() for probe in probes}
    networks = [*surroundings.values(), *(probe.network() for probe in probes)]
    runs = [opened(network, outputs, engine, threads) for network, outputs in networks]
    warm = [run() for run in runs]
    rounds = int(np.clip(TASK_MS * len(runs) / sum(warm), *ROUNDS))
    fastest = np.min([[run() for run in runs] for _ in range(rounds)], axis=0).tolist()
    without = dict(zip(surroundings, fastest, strict=False))
    return [max(0.0, ms - without[probe.inputs, probe.copies]) / probe.copies
            for probe, ms in zip(probes, fastest[len(surroundings):], strict=True)]


def opened(network: Network, outputs: list[int] | None, name: str, threads: int | None) -> Callable[[], float]:
    """A network in an engine, warmed up, as a function that runs it once and gives the milliseconds.

    On one thread it is the CPU's time that counts: other processes cannot take any of it, as they do of the clock's.
    outputs: the layers to compute; None for what the heads read.
    """
    with tempfile.TemporaryDirectory(prefix="bonsai-") as folder:
        cfg, weights = Path(folder, "probe.cfg"), Path(folder, "probe.weights")
        write_cfg(cfg, network)
        write_weights(weights, network, initial_weights(network))
        engine = open_engine(name, cfg, weights, threads=threads, layers=outputs)
    x = random_images(1, *(getattr(network.input_shape, side) for side in ("channels", "height", "width")))
    engine.heads(x)

    clock = time.process_time if threads == 1 else time.perf_counter

    def run() -> float:
        start = clock()
        engine.heads(x)
        return 1000 * (clock() - start)

    return run


def _stem(filters: int) -> str:
    return _text("convolutional", {"filters": filters, "size": 1, "stride": 1, "activation": "linear"})


def _text(name: str, options: Mapping[str, object]) -> str:
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in options.items())])
