#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Make a trained network several times smaller at once: no training, no labels, no GPU.

    python compress.py --cfg cfg/my.cfg --weights weights/my.weights --images pictures/ --target 4x
    python compress.py --cfg cfg/my.cfg --weights weights/my.weights --data data/my.data --max-drop 0.01

Channels and residual blocks go whose part others can take over, as measured on the images; every convolution behind a cut
is then fitted to what it gave before. In rounds, each judged: by what it misses at the heads, by its agreement with what
the original detects, and by mAP where --data has labels.
Writes compressed_4x_my.cfg and .weights beside the inputs (or in --out), verified in another engine, and a JSON report.
Give images like those that the network shall see: 64 do, more do better.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from utils.cli import run_command
from utils.cli.compression import compression_arguments, run_compression


def run(args: argparse.Namespace) -> int:
    """Compress."""
    return run_compression(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, compression_arguments(__doc__), argv)


if __name__ == "__main__":
    raise SystemExit(main())
