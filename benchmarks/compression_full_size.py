"""Compression of a full-size network: wall time, and peak memory beside the file's size.

    python benchmarks/compression_full_size.py --cfg cfg/yolov4.cfg --images pictures/ --size 416 --target 4x

The weights are drawn: time and memory do not depend on what they are. Each stage is timed; the peak is that of the whole process
(ru_maxrss) less what it had after its imports.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from utils.cli.calibration import read_calibration_images
from utils.cli.compression.budget import Budget
from utils.cli.compression.targets import target
from utils.cli.device import prepare_process
from utils.darknet import initial_weights, read_network
from utils.pruning import NetworkCost, apply_plan, plan_within
from utils.pruning.orders import step_order
from utils.training import activation_statistics, reconstructed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", type=Path, required=True)
    parser.add_argument("--images", required=True)
    parser.add_argument("--calibration-images", type=int, default=64)
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--target", type=target, nargs="+", default=[target("4x")])
    parser.add_argument("--criterion", default="dependence")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    args.letterbox, args.seed, args.data, args.engine, args.quiet = "auto", 0, None, "torch", True
    threads = prepare_process(threads=args.threads, seed=0)
    started, before = time.perf_counter(), _peak_bytes()
    network = read_network(args.cfg).resized(args.size, args.size)
    weights = initial_weights(network, 0)
    images = read_calibration_images(args, network).images
    budget = Budget(args, network, args.target)
    times = {"reading": time.perf_counter() - started}

    def stage(name: str) -> None:
        times[name] = time.perf_counter() - started - sum(times.values())
        print(f"{name}: {times[name]:.1f} s, peak so far {(_peak_bytes() - before) / 1e9:.2f} GB", flush=True)

    statistics = activation_statistics(network, weights, (images[i:i + 8] for i in range(0, len(images), 8)), images=len(images))
    stage("statistics")
    order = step_order(args.criterion, network, weights, statistics, budget.units(network))
    stage("order")
    plan = plan_within(network, order, budget.limits, "compress", {"round_to": 1})
    del statistics
    stage("plan")
    found = reconstructed(network, weights, plan, images, start=apply_plan(network, weights, plan, "beta"))
    stage("reconstruction")
    size = NetworkCost.of(network).weights_bytes
    peak = _peak_bytes() - before
    print(f"{args.cfg.name} at {args.size}, {len(images)} images, {threads} threads: {network.parameters / 1e6:.1f} M -> "
          f"{found.network.parameters / 1e6:.1f} M parameters in {sum(times.values()):.0f} s; peak memory {peak / 1e9:.2f} GB, "
          f"{(peak - 2e9) / size:.2f} times the file's {size / 1e6:.0f} MB beyond 2 GB")
    return 0


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    raise SystemExit(main())
