"""All strategies at several cuts: what each fold leaves of the mAP, what it costs, and what a short fine-tuning brings back.

    python benchmarks/strategies.py --cfg my.cfg --weights sparse.weights --data data/my.data --out runs/strategies
    python benchmarks/strategies.py ... --fine-tune 3 --train-args "--batch-size 4 --accumulate 1 --adam --lr0 0.0005"

Prints a Markdown table, a row per plan: mAP@0.5 right after the cut for every --fold (with "bn" the batch norms of the exact
pair are measured anew on training images), costs and latency of the exact pair, mAP after the fine-tuning. Every pair that
was fine-tuned stays in --out.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fastest import fastest_ms

from models import model_with
from utils.cli.calibration import read_calibration_images
from utils.cli.device import prepare_process
from utils.cli.progress import progress_bar
from utils.cli.validation import validation_set
from utils.darknet import Network, Weights, read_network, read_weights, write_cfg, write_weights
from utils.datasets import DetectionDataset
from utils.pruning import (
    FOLDS,
    NetworkCost,
    Plan,
    apply_plan,
    layer_channel_plan,
    layer_plan,
    normal_plan,
    shortcut_plan,
    slim_plan,
)
from utils.training import HeadDecoder, ModelEngine, channel_means, evaluate_engine, recalibrated

CutPlan = Callable[[Network, Weights], Plan]


def cuts() -> Iterator[tuple[str, CutPlan]]:
    """Every strategy with its light, middle and heavy cut, under the command line that makes it."""
    for share in (0.5, 0.6, 0.7):
        yield f"prune.py --percent {share}", partial(normal_plan, percent=share)
    for share in (0.5, 0.6, 0.7):
        yield f"shortcut_prune.py --percent {share}", partial(shortcut_plan, percent=share)
    for share in (0.5, 0.6, 0.7):
        yield f"slim_prune.py --global_percent {share}", partial(slim_plan, global_percent=share)
    for count in (6, 12, 18):
        yield f"layer_prune.py --shortcuts {count}", partial(layer_plan, shortcuts=count)
    for count, share in ((6, 0.5), (12, 0.6), (18, 0.7)):
        yield (f"layer_channel_prune.py --shortcuts {count} --global_percent {share}",
               partial(layer_channel_plan, shortcuts=count, global_percent=share))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--cfg", "--weights", "--data", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--fine-tune", type=int, default=0, metavar="EPOCHS")
    parser.add_argument("--train-args", default="", help="further flags of train.py")
    parser.add_argument("--only", default="", help="plans whose command holds this text")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    args.threads = prepare_process(threads=args.threads, seed=0)
    args.out.mkdir(parents=True, exist_ok=True)
    network = read_network(args.cfg)
    weights = read_weights(args.weights, network)
    dataset = validation_set(args.data, HeadDecoder(network).classes)
    images = read_calibration_images(
        argparse.Namespace(images=None, data=args.data, calibration_images=128, seed=0, letterbox="auto"), network)
    batches = list(images.batches(8))
    means = channel_means(network, weights, batches)

    columns = [*FOLDS, "mean, measured", "exact + bn", "mean, measured + bn"]
    print("| plan | parameters | GFLOPs |", " | ".join(columns), "| fine-tuned | ms OpenCV | ms torch |")
    print("|---|" + "---|" * (len(columns) + 5))
    _row("uncut", network, weights, {"exact": _map50(network, weights, dataset)}, columns, None, args)
    for command, plan_of in cuts():
        if args.only not in command:
            continue
        plan = plan_of(network, weights)
        pairs: dict[str, tuple[Network, Weights]] = {fold: apply_plan(network, weights, plan, fold) for fold in FOLDS}
        pairs["mean, measured"] = apply_plan(network, weights, plan, "mean", means)
        for name in ("exact", "mean, measured"):
            smaller, cut = pairs[name]
            pairs[f"{name} + bn"] = smaller, recalibrated(smaller, cut, batches)
        scores = {name: _map50(*pair, dataset) for name, pair in pairs.items()}
        tuned = _fine_tuned(command, *pairs["exact"], dataset, args) if args.fine_tune else None
        _row(command, *pairs["exact"], scores, columns, tuned, args)
    return 0


def _map50(network: Network, weights: Weights, dataset: DetectionDataset) -> float:
    with progress_bar("evaluating", len(dataset), quiet=False) as advance:
        engine = ModelEngine(model_with(network, weights).fuse())
        return evaluate_engine(engine, network, dataset, workers=0, advance=advance).metrics.map50_coco


def _fine_tuned(command: str, network: Network, weights: Weights, dataset: DetectionDataset,
                args: argparse.Namespace) -> float:
    """mAP@0.5 after training the pair with the project's own command."""
    folder = args.out / command.replace(".py", "").replace("--", "").replace(" ", "_")
    folder.mkdir(exist_ok=True)
    cfg, start = folder / "pruned.cfg", folder / "pruned.weights"
    write_cfg(cfg, network)
    write_weights(start, network, weights)
    subprocess.run([sys.executable, ROOT / "train.py", "--cfg", cfg, "--weights", start, "--data", args.data, "--epochs",
                    str(args.fine_tune), "--out", folder / "tuned", "--nosave", "--notest", "-q", "--threads",
                    str(args.threads), *shlex.split(args.train_args)], check=True)
    return _map50(network, read_weights(folder / "tuned" / "last.weights", network), dataset)


def _row(command: str, network: Network, weights: Weights, scores: Mapping[str, float], columns: list[str],
         tuned: float | None, args: argparse.Namespace) -> None:
    cost = NetworkCost.of(network)
    times = [fastest_ms(network, weights, name, args.threads) for name in ("opencv", "torch")]
    shown = [f"{scores[name]:.4f}" if name in scores else "" for name in columns]
    print(f"| `{command}` | {cost.parameters / 1e6:.3f} M | {cost.bflops:.3f} |", " | ".join(shown),
          f"| {'' if tuned is None else format(tuned, '.4f')} | {times[0]:.1f} | {times[1]:.1f} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
