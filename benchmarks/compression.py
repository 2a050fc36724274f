"""Compression without training: what each way leaves of the mAP at 2, 4, 8 and 16 times fewer parameters.

    python benchmarks/compression.py --data data/my.data --pair dense=my.cfg,dense.weights --pair sparse=my.cfg,sparse.weights
    python benchmarks/compression.py ... --target params:9x gflops:2.7x --times        # other targets
    python benchmarks/compression.py ... --fine-tune 2 --train-args "--batch-size 4 --accumulate 1 --adam --lr0 0.0005"

Prints a Markdown table, a row per network and target: mAP@0.5 / mAP@0.5:0.95 of channels chosen by gamma and folded, as the
ancestors do; of those chosen by dependence and folded, with batch norms measured anew, reconstructed in one cut, in rounds; and
in a second row for each target all of them after fine-tuning. With --seeds the images are drawn anew for each, training has
another seed, too, and mean and largest distance from it are printed.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from fastest import fastest_ms

from models import model_with
from utils.cli.calibration import read_calibration_images
from utils.cli.compression.budget import Budget
from utils.cli.compression.targets import Target, target
from utils.cli.device import prepare_process
from utils.cli.validation import validation_set
from utils.darknet import Network, Weights, read_network, read_weights, write_cfg, write_weights
from utils.datasets import DetectionDataset
from utils.pruning import Plan, apply_plan
from utils.training import (
    Compressor,
    HeadDecoder,
    ModelEngine,
    Sampling,
    activation_statistics,
    evaluate_engine,
    plan_by,
    recalibrated,
    reconstructed,
    schedule,
)

Pair = tuple[Network, Weights]
WAYS = ("gamma, folded", "folded", "batch norm", "reconstructed", "in rounds")
_ENGINES = ("opencv", "onnxruntime", "torch")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", action="append", required=True, metavar="NAME=CFG,WEIGHTS")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", help="to calibrate on (default: the train= of --data)")
    parser.add_argument("--target", type=target, nargs="+", metavar="WHAT", help="one row with these (default: four rows)")
    parser.add_argument("--times", nargs="+", type=float, default=[2, 4, 8, 16], help="rows, where there is no --target")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, metavar="WAY")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--calibration-images", type=int, default=64)
    parser.add_argument("--fine-tune", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--train-args", default="", help="further flags of train.py")
    parser.add_argument("--latency", action="store_true", help="measure the last way's pair in each engine, too")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    args.letterbox, args.engine, args.quiet = "auto", "torch", True
    args.threads = prepare_process(threads=args.threads, seed=0)
    titles = [*args.ways, *(_ENGINES if args.latency else ())]
    print("| network | target | parameters | GFLOPs |", " | ".join(titles), "|")
    print("|---|" + "---|" * (len(titles) + 3), flush=True)
    for word in args.pair:
        name, _, files = word.partition("=")
        cfg, weights = files.split(",")
        network = read_network(cfg)
        _rows(name, (network, read_weights(weights, network)), args)
    return 0


def _rows(name: str, pair: Pair, args: argparse.Namespace) -> None:
    dataset = validation_set(args.data, HeadDecoder(pair[0]).classes)
    empty = [""] * len(args.ways)
    times = [f" {fastest_ms(*pair, engine, args.threads):.1f} ms" for engine in _ENGINES] if args.latency else []
    print(f"| {name} | uncut: {_shown([_map(pair, dataset)])} {_cost(pair[0])}", " | ".join([*empty, *times]), "|", flush=True)
    targets = [args.target] if args.target else [[Target("params", 1 / times, True)] for times in args.times]
    for asked in targets:
        scores: dict[str, list[tuple[float, float]]] = {way: [] for way in args.ways}
        tuned: dict[str, list[tuple[float, float]]] = {way: [] for way in args.ways}
        for seed in range(args.seeds):
            images = read_calibration_images(argparse.Namespace(**{**vars(args), "seed": seed}), pair[0]).images
            for way in args.ways:
                smaller = _made(way, pair, asked, images, seed, args)
                scores[way].append(_map(smaller, dataset))
                if args.fine_tune:
                    tuned[way].append(_map(_fine_tuned(smaller, seed, args), dataset))
        cells = [_shown(scores[way]) for way in args.ways]
        if args.latency:
            cells += [f"{fastest_ms(*pair, engine, args.threads) / fastest_ms(*smaller, engine, args.threads):.2f}x" for engine in _ENGINES]
        print(f"| {name} | {' '.join(map(str, asked))} {_cost(smaller[0])}", " | ".join(cells), "|", flush=True)
        if args.fine_tune:
            cells = [_shown(tuned[way]) for way in args.ways]
            print(f"| {name} | the same, {args.fine_tune} epochs of fine-tuning {_cost(smaller[0])}", " | ".join(cells), "|", flush=True)


def _made(way: str, pair: Pair, asked: Sequence[Target], images: np.ndarray, seed: int, args: argparse.Namespace) -> Pair:
    network, weights = pair
    budget = Budget(args, network, asked)
    sampling = Sampling(seed=seed)
    if way == "in rounds":
        compressor = Compressor(network, weights, images, "dependence", sampling=sampling)
        current = compressor.uncut
        for limits in schedule(network, budget.limits, None):
            current = compressor.cut(current, limits, budget.units(current.network))
        return current.network, current.weights
    plan = _plan("gamma-max" if way == "gamma, folded" else "dependence", pair, budget, images, seed)
    if way == "reconstructed":
        found = reconstructed(network, weights, plan, images, sampling=sampling)
        return found.network, found.weights
    smaller, cut = apply_plan(network, weights, plan, "beta" if way == "gamma, folded" else "exact")
    if way == "batch norm":
        cut = recalibrated(smaller, cut, (images[start:start + 16] for start in range(0, len(images), 16)))
    return smaller, cut


def _plan(criterion: str, pair: Pair, budget: Budget, images: np.ndarray, seed: int) -> Plan:
    batches = (images[start:start + 8] for start in range(0, len(images), 8))
    statistics = activation_statistics(*pair, batches, images=len(images), seed=seed)
    return plan_by(criterion, *pair, statistics, budget.limits, budget.units(pair[0]), {"criterion": criterion, "round_to": 1})


def _map(pair: Pair, dataset: DetectionDataset) -> tuple[float, float]:
    metrics = evaluate_engine(ModelEngine(model_with(*pair).fuse()), pair[0], dataset, workers=0).metrics
    return metrics.map50_coco, metrics.map


def _fine_tuned(pair: Pair, seed: int, args: argparse.Namespace) -> Pair:
    """After training with the project's own command."""
    with tempfile.TemporaryDirectory() as folder:
        cfg, start = Path(folder, "cut.cfg"), Path(folder, "cut.weights")
        write_cfg(cfg, pair[0])
        write_weights(start, *pair)
        subprocess.run([sys.executable, ROOT / "train.py", "--cfg", cfg, "--weights", start, "--data", args.data, "--epochs",
                        str(args.fine_tune), "--seed", str(seed), "--out", Path(folder, "tuned"), "--nosave", "--notest", "-q", "--threads",
                        str(args.threads), *shlex.split(args.train_args)], check=True, stdout=subprocess.DEVNULL)
        return pair[0], read_weights(Path(folder, "tuned", "last.weights"), pair[0])


def _shown(scores: list[tuple[float, float]]) -> str:
    """`.821 / .441`, with several `.821 ±.004 / .441 ±.002`."""
    parts = []
    for values in zip(*scores, strict=True):
        mean = float(np.mean(values))
        spread = f" ±{max(abs(value - mean) for value in values):.3f}" if len(values) > 1 else ""
        parts.append(f"{mean:.3f}{spread}")
    return " / ".join(parts)


def _cost(network: Network) -> str:
    return f"| {network.parameters / 1e3:.0f} k | {network.bflops:.3f} |"


if __name__ == "__main__":
    raise SystemExit(main())
