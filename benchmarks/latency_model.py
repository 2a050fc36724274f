"""Latency of pruned networks as the tables of their original predict it, against what they take.

    python benchmarks/latency_model.py --threads 1
    python benchmarks/latency_model.py cfg/yolov4-tiny.cfg model.cfg,model.weights --engine opencv --percent 0.5 0.8

Slim plans cut the given shares, with and without widths that are multiples of 8. Networks without weights get random gammas.
All numbers are relative to the original's: the plans of a network run in turn with it, and the fastest runs count; on
one thread the CPU's time does, of which other processes take nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli.device import tame_openmp

tame_openmp()  # as the commands do, before torch is imported

import numpy as np

from utils.darknet import Network, Weights, initial_weights, read_network, read_weights
from utils.deploy import engine_problems, measure_latency_model
from utils.deploy.layer_probe import opened
from utils.pruning import apply_plan, slim_plan

ROUND_TO = (1, 8)


def read_pair(text: str) -> tuple[Network, Weights]:
    """`cfg` or `cfg,weights`; without weights, gammas are drawn at random."""
    cfg, _, weights = text.partition(",")
    network = read_network(cfg)
    if weights:
        return network, read_weights(weights, network)
    drawn, rng = initial_weights(network), np.random.default_rng(0)
    for arrays in drawn.layers:
        if "gamma" in arrays:
            arrays["gamma"][:] = rng.uniform(0, 1, arrays["gamma"].shape)
    return network, drawn


def fastest(networks: list[Network], engine: str, threads: int, rounds: int) -> list[float]:
    """Milliseconds of each network's fastest run, all in turn."""
    runs = [opened(network, None, engine, threads) for network in networks]
    return np.min([[run() for run in runs] for _ in range(rounds)], axis=0).tolist()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", default=["cfg/yolov3-tiny.cfg", "cfg/yolov4-tiny.cfg"])
    parser.add_argument("--engine", nargs="+", default=["opencv", "onnxruntime", "torch"])
    parser.add_argument("--percent", nargs="+", type=float, default=[0.3, 0.5, 0.7])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    args = parser.parse_args()
    print("| network | engine | share cut | round | multiply-adds | predicted | measured | error |\n" + "|---" * 8 + "|")
    errors: dict[str, list[float]] = {}
    notes = []
    for text in args.pairs:
        network, weights = read_pair(text)
        cfg = Path(text.split(",")[0])
        name = cfg.parent.name if cfg.stem == "model" else cfg.stem
        cut = [(percent, round_to) for percent in args.percent for round_to in ROUND_TO]
        smaller = [apply_plan(network, weights, slim_plan(network, weights, percent, round_to=round_to))[0]
                   for percent, round_to in cut]
        for engine in args.engine:
            if engine_problems(engine, network):
                continue
            start = time.perf_counter()
            model = measure_latency_model(network, engine, threads=args.threads)
            notes.append(f"{name}, {engine}: {model.measured_ms:.1f} ms, {model.measured_ms / model.summed_ms:.2f} of its layers' sum; "
                         f"{len(model.tables)} tables in {time.perf_counter() - start:.0f} s")
            whole, *times = fastest([network, *smaller], engine, args.threads, args.rounds)
            for (percent, round_to), after, ms in zip(cut, smaller, times, strict=True):
                predicted, measured = model.predicted_ms(after) / model.predicted_ms(network), ms / whole
                errors.setdefault(engine, []).append(predicted / measured - 1)
                print(f"| {name} | {engine} | {percent:g} | {round_to} | {after.macs / network.macs:.3f} | "
                      f"{predicted:.3f} | {measured:.3f} | {predicted / measured - 1:+.1%} |", flush=True)
    for engine, found in errors.items():
        notes.append(f"{engine}: error {np.median(np.abs(found)):.1%} in the median, {np.max(np.abs(found)):.1%} at most, "
                     f"{np.mean(found):+.1%} on average, over {len(found)} networks")
    print("\n" + "\n".join(f"* {note}" for note in notes))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
