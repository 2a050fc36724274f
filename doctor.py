#!/usr/bin/env python3
# PYTHON_ARGCOMPLETE_OK
"""Look for trouble before it costs a night: check files and machine, and say for each thing how it is mended.

    python doctor.py                                                     the machine alone
    python doctor.py --cfg my.cfg --weights my.weights                   a pair
    python doctor.py --cfg my.cfg --weights my.weights --data my.data    a pair, its labels and images
    python doctor.py --cfg my.cfg --weights my.weights --percent 0.7     will it stand this cut?
    python doctor.py --cfg my.cfg --data my.data --img_size 512,320      do images, boxes and anchors suit this input?
    python doctor.py --cfg my.cfg --t_cfg big.cfg --t_weights big.weights        can this teacher teach it?

One line per check: `fine`; `look`, which works and may not be what you want; or `wrong`. Below it, a command that mends it.
Nothing is written but what --save-json asks for. With -q, what is fine is not told.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from utils.cli import run_command
from utils.cli.doctor import doctor_arguments, run_doctor


def run(args: argparse.Namespace) -> int:
    """Check."""
    return run_doctor(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run_command(run, doctor_arguments(__doc__), argv)


if __name__ == "__main__":
    raise SystemExit(main())
