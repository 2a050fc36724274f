"""Choosing and cutting half of yolov3's channels: seconds, and memory beyond the weights themselves.

    python benchmarks/surgery.py

The targets: under 3 s, and under 3 times the file's size of extra memory (numpy's allocations, traced).
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from utils.darknet import initial_weights, read_network
from utils.pruning import apply_plan, slim_plan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", default="cfg/yolov3.cfg")
    parser.add_argument("--global_percent", type=float, default=0.5)
    args = parser.parse_args()
    network = read_network(args.cfg)
    weights = initial_weights(network)
    rng = np.random.default_rng(0)
    for arrays in weights.layers:
        if "gamma" in arrays:
            arrays["gamma"][:] = rng.uniform(0, 1, arrays["gamma"].shape)
            arrays["beta"][:] = rng.normal(0, 1, arrays["beta"].shape)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        smaller, _ = apply_plan(network, weights, slim_plan(network, weights, args.global_percent))
        seconds.append(time.perf_counter() - start)
    tracemalloc.start()
    apply_plan(network, weights, slim_plan(network, weights, args.global_percent))
    extra = tracemalloc.get_traced_memory()[1]
    size = 4 * network.parameters
    print(f"{args.cfg}: {network.parameters:,} parameters -> {smaller.parameters:,}")
    print(f"plan and surgery {min(seconds):.2f} s (target: under 3)")
    print(f"extra memory {extra / 1e6:.0f} MB = {extra / size:.2f} x the file's {size / 1e6:.0f} MB (target: under 3)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
