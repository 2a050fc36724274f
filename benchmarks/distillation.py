"""What a teacher costs: a training step with each method, beside the plain step and the teacher's forward pass.

    python benchmarks/distillation.py --threads 1
    python benchmarks/distillation.py --threads 1 --cfg pruned.cfg --t_cfg yolov3.cfg --size 256

The target: not more than 1.5 times the sum of the two. Weights are drawn: they change no time. One batch of a drawn data set
again and again, so nothing is read in between.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli.device import prepare_process, tame_openmp

tame_openmp()  # as the commands do, before torch is imported

from side_by_side import medians

from models import Darknet, save_weights
from utils.cli.training.arguments import training_parser
from utils.cli.training.inputs import training_inputs
from utils.cli.training.setup import build_trainer
from utils.darknet import read_network, with_classes, write_cfg
from utils.darknet.builder import build_cfg
from utils.datasets import TrainingBatch, TrainingBatches
from utils.datasets.demo import generate
from utils.distillation import METHODS
from utils.reports import table
from utils.training.distributed import Processes
from utils.training.trainer import Trainer

CLASSES = 3  # of the drawn data set


class OneBatch:
    """A batch, `count` times an epoch."""

    def __init__(self, batch: TrainingBatch, count: int, batch_size: int) -> None:
        self._batch, self._count, self.batch_size = batch, count, batch_size

    def __len__(self) -> int:
        return self._count

    def epoch(self, epoch: int, start: int = 0) -> Iterator[TrainingBatch]:
        """As of `TrainingBatches`."""
        for number in range(start, self._count):
            yield TrainingBatch(self._batch.indices, self._batch.images, self._batch.targets, self._batch.size, number)


@contextmanager
def _no_bar(description: str, total: int) -> Iterator[Callable[..., None]]:
    yield lambda n=1, note="": None


def epoch_of(trainer: Trainer) -> Callable[[], None]:
    """A function that trains for one epoch."""
    def run() -> None:
        epoch = trainer.progress.epoch
        for _ in trainer.run():
            if trainer.progress.epoch > epoch:
                return

    return run


def pair(cfg: Path | None, width: float, folder: Path, name: str, size: int) -> tuple[Path, Path]:
    """A cfg for the drawn data set and drawn weights for it, as files."""
    path = folder / f"{name}.cfg"
    if cfg is None:
        path.write_text(build_cfg("yolov3-tiny", classes=CLASSES, width=size, height=size, width_multiple=width))
    else:
        write_cfg(path, with_classes(read_network(cfg), CLASSES))
    save_weights(Darknet(path, init=False).initialise(len(name)), folder / f"{name}.weights")
    return path, folder / f"{name}.weights"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", type=Path, help="of the student (default: yolov3-tiny of half the width)")
    parser.add_argument("--t_cfg", type=Path, help="of the teacher (default: yolov3-tiny)")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--batches", type=int, default=3, help="per epoch, which is what is timed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", default=",".join(METHODS), help="which of them, separated by commas (default: all)")
    args = parser.parse_args()
    prepare_process(threads=args.threads, seed=0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = generate(folder / "demo", 2 * args.batch_size, (240, 320), valid_share=1e-9)
        cfg, _ = pair(args.cfg, 0.5, folder, "student", args.size)
        t_cfg, t_weights = pair(args.t_cfg, 1.0, folder, "teacher", args.size)
        common = ["--cfg", str(cfg), "--data", str(data), "--img_size", str(args.size), "--batch-size", str(args.batch_size),
                  "--accumulate", "1", "--epochs", "100000", "--workers", "0"]
        trainers = {}
        for setting in ("plain", *args.methods.split(",")):
            taught = [] if setting == "plain" else ["--t_cfg", str(t_cfg), "--t_weights", str(t_weights), "--distill", setting]
            options = training_parser(None).parse_args([*common, *taught])
            trainer = build_trainer(options, training_inputs(options), Processes(), _no_bar, resumed=False)
            trainer.evaluate = None
            batch = trainer.batches.batch(0, 0)
            trainer.batches = cast(TrainingBatches, OneBatch(batch, args.batches, args.batch_size))
            trainers[setting] = trainer
        distillation = trainer.distillation
        assert distillation is not None
        teacher = distillation.teacher
        images = batch.images.float() / 255

        def forward() -> None:
            for _ in range(args.batches):
                teacher(images)

        times = medians({**{name: epoch_of(trainer) for name, trainer in trainers.items()}, "teacher": forward}, args.rounds)
    bound = times["plain"] + times["teacher"]
    seen = args.batch_size * args.batches
    print(f"{'yolov3-tiny, half the width' if args.cfg is None else args.cfg.name} taught by "
          f"{'yolov3-tiny' if args.t_cfg is None else args.t_cfg.name} at {args.size}, batches of {args.batch_size}, "
          f"{args.threads} threads; median of {args.rounds} epochs of {args.batches} batches in turn")
    rows = [(name, f"{seen / seconds:.1f}", f"{times['plain'] / seconds:.2f}", f"{seconds / bound:.2f}")
            for name, seconds in times.items() if name != "teacher"]
    print(table(rows, ("setting", "images/s", "of plain fine-tuning", "time over step + teacher"), "<>>>"))
    print(f"the teacher's forward pass takes {times['teacher'] / times['plain']:.2f} of the plain step")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
