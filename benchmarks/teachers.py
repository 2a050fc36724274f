"""Plain fine-tuning beside fine-tuning with a teacher: every method, several seeds, the same number of epochs.

    python benchmarks/teachers.py --data data/my.data --t_cfg C --t_weights W --student pruned=C2,W2 --student small=C3,W3 \
        --epochs 5 --seeds 3 --out runs/teachers --train-args "--batch-size 4 --accumulate 1 --adam --lr0 0.001"

Prints a Markdown table: for each student and setting mean and spread (standard deviation over seeds) of mAP@0.5 and COCO's mAP
after the last epoch, the gain over plain fine-tuning, and the teacher's part of the loss over the detection loss in the last
epoch. Every run stays in --out, and one that is there and finished is not made again: give another --out for other arguments.
Settings with --distill get the teacher.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from utils.cli.progress import progress_bar
from utils.distillation import METHODS

SETTINGS: dict[str, tuple[str, ...]] = {"plain": (), **{name: ("--distill", name) for name in METHODS}}


def student(text: str) -> tuple[str, Path, Path]:
    """argparse type: NAME=CFG,WEIGHTS."""
    name, equals, files = text.partition("=")
    cfg, comma, weights = files.partition(",")
    if not (name and equals and comma):
        raise argparse.ArgumentTypeError(f"{text!r} is no student; write NAME=CFG,WEIGHTS")
    return name, Path(cfg), Path(weights)


def setting(text: str) -> tuple[str, tuple[str, ...]]:
    """argparse type: NAME=FLAGS of train.py."""
    name, equals, flags = text.partition("=")
    if not equals or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r} is no setting; write NAME='--distill l2,cwd'")
    return name, tuple(shlex.split(flags))


def last_row(folder: Path, epochs: int) -> dict[str, str] | None:
    """The last epoch of a finished run."""
    if not (folder / "last.weights").exists():
        return None
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return rows[-1] if rows and int(rows[-1]["epoch"]) == epochs - 1 else None


def run(args: argparse.Namespace, folder: Path, cfg: Path, weights: Path, seed: int, flags: Sequence[str]) -> dict[str, str]:
    """Train, unless that was done."""
    done = last_row(folder, args.epochs)
    if done is not None:
        return done
    teacher = ["--t_cfg", args.t_cfg, "--t_weights", args.t_weights] if "--distill" in flags else []
    if folder.exists():  # of a run that was killed
        shutil.rmtree(folder)
    command = [sys.executable, ROOT / "train.py", "--cfg", cfg, "--weights", weights, "--data", args.data, "--epochs", args.epochs,
               "--seed", seed, "--out", folder, "--notest", "--tensorboard", "off", "-q", *shlex.split(args.train_args),
               *teacher, *flags]
    finished = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    row = last_row(folder, args.epochs)
    if finished.returncode or row is None:
        raise SystemExit(f"error: {' '.join(map(str, command))} ended with {finished.returncode}: {finished.stderr[-600:]}")
    return row


def spread(values: Sequence[float]) -> str:
    """Mean, and how far seeds are apart."""
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def ratio(rows: Sequence[dict[str, str]]) -> str:
    """The teacher's parts together, over the detection loss."""
    sums = [sum(float(value) for name, value in row.items() if name.endswith("_ratio") and value) for row in rows]
    return f"{fmean(sums):.2f}" if any(sums) else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--t_cfg", type=Path, required=True)
    parser.add_argument("--t_weights", type=Path, required=True)
    parser.add_argument("--student", type=student, action="append", required=True, metavar="NAME=CFG,WEIGHTS")
    parser.add_argument("--setting", type=setting, action="append", default=[], metavar="NAME=FLAGS",
                        help="one more, or another for a method: 'l2 + cwd=--distill l2,cwd'")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these settings only")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train-args", default="")
    args = parser.parse_args()
    settings = {**SETTINGS, **dict(args.setting)}
    settings = {name: flags for name, flags in settings.items() if args.only is None or name in args.only}
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [(who, cfg, weights, name, seed) for seed in range(args.seeds) for who, cfg, weights in args.student
            for name in settings]
    found: dict[tuple[str, str], list[dict[str, str]]] = {}
    with progress_bar("training", len(jobs), unit="run") as advance:
        for who, cfg, weights, name, seed in jobs:
            folder = args.out / f"{who}-{name.replace(' ', '')}-{seed}"
            found.setdefault((who, name), []).append(run(args, folder, cfg, weights, seed, settings[name]))
            advance(1, f"{who}, {name}, seed {seed}")
    print("| student | setting | mAP@0.5 | gain | mAP@0.5:0.95 | gain | teacher / detection loss |")
    print("|---|---|---|---|---|---|---|")
    for (who, name), rows in found.items():
        cells = []
        for metric in ("map50", "map"):
            values = [float(row[metric]) for row in rows]
            plain = [float(row[metric]) for row in found.get((who, "plain"), [])]
            cells += [spread(values), f"{fmean(values) - fmean(plain):+.3f}" if plain and name != "plain" else ""]
        print(f"| {who} | {name} | {' | '.join(cells)} | {ratio(rows)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
