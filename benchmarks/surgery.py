"""Planning and cutting every cfg that ships, by every strategy: seconds, and memory beyond the pair itself.

    python benchmarks/surgery.py

For each cfg the slowest of the five strategies and the hungriest one: read the pair, choose, cut with the exact fold, write
the new pair. The targets: under 10 s, and under 3 times the file's size of extra memory (numpy's allocations, traced; the
arrays that were read are not extra). Exit code 1 where one is missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np

from utils.darknet import (
    Network,
    Weights,
    initial_weights,
    read_network,
    read_weights,
    write_cfg,
    write_weights,
)
from utils.pruning import (
    Plan,
    apply_plan,
    layer_channel_plan,
    layer_plan,
    normal_plan,
    residual_blocks,
    shortcut_plan,
    slim_plan,
)

SECONDS, TIMES_THE_FILE = 10, 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cfg", nargs="*", type=Path, default=sorted((ROOT / "cfg").glob("*.cfg")))
    parser.add_argument("--percent", type=float, default=0.5, help="of the channels; of the residual blocks as well")
    args = parser.parse_args()
    print("| cfg | file | read | plan + cut + write | extra memory / file |\n|---|---|---|---|---|")
    missed = False
    for cfg in args.cfg:
        with tempfile.TemporaryDirectory() as folder:
            pair = _pair(cfg, Path(folder))
            start = time.perf_counter()
            network = read_network(pair[0])
            weights = read_weights(pair[1], network)
            read = time.perf_counter() - start
            size = pair[1].stat().st_size
            plans = _strategies(network, args.percent)
            seconds = {name: _seconds(network, weights, plan, Path(folder)) for name, plan in plans.items()}
            memory = {name: _extra_memory(network, weights, plan, Path(folder)) / size for name, plan in plans.items()}
        slowest, hungriest = max(seconds, key=seconds.__getitem__), max(memory, key=memory.__getitem__)
        missed |= read + seconds[slowest] >= SECONDS or memory[hungriest] >= TIMES_THE_FILE
        print(f"| {cfg.stem} | {size / 1e6:.0f} MB | {read:.2f} s | {seconds[slowest]:.2f} s ({slowest}) | "
              f"**{memory[hungriest]:.2f}** ({hungriest}) |", flush=True)
    return int(missed)


def _pair(cfg: Path, folder: Path) -> tuple[Path, Path]:
    """A pair on disk with gammas that differ and betas that leave constants."""
    network = read_network(cfg)
    weights = initial_weights(network)
    rng = np.random.default_rng(0)
    for arrays in weights.layers:
        if "gamma" in arrays:
            arrays["gamma"][:] = rng.uniform(0, 1, arrays["gamma"].shape)
            arrays["beta"][:] = rng.normal(0, 1, arrays["beta"].shape)
    write_weights(folder / "a.weights", network, weights)
    return cfg, folder / "a.weights"


def _strategies(network: Network, share: float) -> Mapping[str, Callable[[Network, Weights], Plan]]:
    blocks = int(len(residual_blocks(network)) * share)
    found = {
        "normal": lambda n, w: normal_plan(n, w, share),
        "shortcut": lambda n, w: shortcut_plan(n, w, share),
        "slim": lambda n, w: slim_plan(n, w, share),
        "layer": lambda n, w: layer_plan(n, w, blocks),
        "layer_channel": lambda n, w: layer_channel_plan(n, w, blocks, share),
    }
    return found if blocks else {name: plan for name, plan in found.items() if not name.startswith("layer")}


def _prune(network: Network, weights: Weights, plan: Callable[[Network, Weights], Plan], folder: Path) -> None:
    smaller, cut = apply_plan(network, weights, plan(network, weights), "exact")
    write_cfg(folder / "b.cfg", smaller)
    write_weights(folder / "b.weights", smaller, cut)


def _seconds(network: Network, weights: Weights, plan: Callable[[Network, Weights], Plan], folder: Path) -> float:
    start = time.perf_counter()
    _prune(network, weights, plan, folder)
    return time.perf_counter() - start


def _extra_memory(network: Network, weights: Weights, plan: Callable[[Network, Weights], Plan], folder: Path) -> int:
    """Bytes at the peak, beyond what was there before."""
    tracemalloc.start()
    try:
        _prune(network, weights, plan, folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    raise SystemExit(main())
