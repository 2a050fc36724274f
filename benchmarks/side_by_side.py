"""Times things in turn, A B C A B C ..., so that a busy machine slows all of them alike and their ratios hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

REST_S = 0.1  # thread pools spin for a while after their work, and would keep the cores from the next task


def medians(tasks: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 1) -> dict[str, float]:
    """Median seconds of each task over `rounds` rounds in which every task runs once, after `warmup` uncounted ones."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(warmup + rounds):
        for name, task in tasks.items():
            time.sleep(REST_S)
            start = time.perf_counter()
            task()
            if number >= warmup:
                seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}
