"""How long one forward pass takes: warmed up, repeated, with the median and the slow tail."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from utils.deploy.engine import Engine


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall-clock milliseconds of one call. threads: as the engine was opened with; None is its own default."""

    median_ms: float
    p95_ms: float
    threads: int | None
    repeats: int
    warmup: int = 0

    def __str__(self) -> str:
        threads = "default threads" if self.threads is None else f"{self.threads} threads"
        return f"{self.median_ms:.2f} ms (95 % below {self.p95_ms:.2f} ms; {threads}, {self.repeats} runs)"


def measure(engine: Engine | Callable[[np.ndarray], Any], x: np.ndarray, *, warmup: int = 3, repeats: int = 20,
            threads: int | None = None) -> Latency:
    """Time `engine.heads(x)`, or `engine(x)` for a plain callable.

    Post-processing is not in it. Two engines are comparable if they were measured in one process run, on an otherwise
    idle machine, with the same number of threads.

    Args:
        x: (N, C, H, W) float32.
        warmup: calls that do not count (memory is allocated, kernels are chosen).
        repeats: calls that do, 1 or more.
        threads: only noted in the result; `open_engine(..., threads=)` is what sets them.

    Raises:
        ValueError: `repeats` or `warmup` make no sense.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f"repeats={repeats} and warmup={warmup}: give at least 1 and 0")
    run = cast(Callable[[np.ndarray], Any], getattr(engine, "heads", engine))
    for _ in range(warmup):
        run(x)
    milliseconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(x)
        milliseconds.append(1000 * (time.perf_counter() - start))
    if threads is None:
        threads = getattr(engine, "threads", None)
    return Latency(float(np.median(milliseconds)), float(np.percentile(milliseconds, 95)), threads, repeats, warmup)
