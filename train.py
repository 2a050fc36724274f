#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Train a detector; with -sr also press its batch-norm scales towards 0, so that pruning has something to cut.

    python train.py --cfg cfg/my.cfg --data data/my.data --weights weights/yolov3.weights --epochs 100 --batch-size 32
        fine-tune; weights that were trained for other classes are a start, too
    python train.py --cfg cfg/my.cfg --data data/my.data --weights weights/last.weights --epochs 300 -sr --s 0.001 --prune 1
        sparse training; --s auto --target-sparsity 0.7 finds the strength by itself
    python train.py --cfg cfg/prune_0.85_my.cfg --data data/my.data --weights weights/prune_0.85_last.weights
        fine-tune a pruned pair
    python train.py ... --t_cfg cfg/my.cfg --t_weights weights/last.weights
        the same with the unpruned network as teacher; --distill detection,cwd says what is compared
    python train.py --arch yolov4-tiny --data data/my.data
        no cfg yet: one is made for your classes and boxes
    python train.py --resume
        go on after Ctrl-C, a crash or a power cut, as if nothing had happened
    torchrun --nproc_per_node 2 train.py ...
        several GPUs, or several processes on CPUs

A run writes last.pt, last.weights, best.pt, best.weights, results.csv, results.png and its cfg into runs/NAME/, and
weights/last.* and weights/best.* point to those of the last run. The .weights files run in Darknet and OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from utils.cli.run import run_command
from utils.cli.training import run_training, training_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = training_parser(__doc__)
    return run_command(partial(run_training, parser=parser, argv=argv), parser, argv,
                       interrupted="what was saved before stays; --resume goes on from there")


if __name__ == "__main__":
    raise SystemExit(main())
