"""Write initial weights for a cfg, as Darknet would start a training: to try the tools before there is a trained file.

    python -m utils.cli.init_weights --cfg cfg/yolov4-tiny.cfg --seed 0 -o yolov4-tiny.weights

A network that was never trained detects nothing, and all its gammas are 1, so that no channel ranks below another.
--gamma-spread 0.9 draws every gamma from [0.1, 1.9] and beta a little around 0: still untrained, but a pruning has
something to rank, and a verification has something to compare.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from utils.cli.arguments import CommandParser, fraction, non_negative_int
from utils.cli.run import run_command
from utils.cli.version import version
from utils.darknet import Network, Weights, initial_weights, read_network, write_weights
from utils.errors import OutputError
from utils.reports import units


def spread_gammas(network: Network, weights: Weights, spread: float, seed: int) -> Weights:
    """The same weights with each batch norm's gamma drawn from [1 - spread, 1 + spread] and beta from +-spread / 10.

    Args:
        spread: in [0, 1); 0 changes nothing.
        seed: the same seed gives the same weights.
    """
    if not spread:
        return weights
    random = np.random.default_rng(seed)
    layers = []
    for arrays in weights.layers:
        if "gamma" in arrays:
            shape = arrays["gamma"].shape
            arrays = {**arrays,
                      "gamma": random.uniform(1 - spread, 1 + spread, shape).astype(np.float32),
                      "beta": random.uniform(-spread / 10, spread / 10, shape).astype(np.float32)}
        layers.append(arrays)
    return replace(weights, layers=tuple(layers))


def _run(args: argparse.Namespace) -> int:
    network = read_network(args.cfg)
    if args.output.exists() and not args.force:
        raise OutputError(args.output, "exists already", "name another file, or say --force to replace it")
    weights = spread_gammas(network, initial_weights(network, args.seed), args.gamma_spread, args.seed)
    write_weights(args.output, network, weights, seen=0)
    print(f"{args.output}: {units.count(network.parameters)} initial numbers for {args.cfg} (seed {args.seed}, "
          f"gamma spread {args.gamma_spread:g}); untrained, it detects nothing")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandParser(prog="python -m utils.cli.init_weights", description=__doc__)
    parser.add_argument("--cfg", type=Path, required=True, metavar="FILE", help="network description (.cfg)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .weights file to write")
    parser.add_argument("--seed", type=non_negative_int, default=0, metavar="N", help="of the random numbers")
    parser.add_argument("--gamma-spread", type=fraction, default=0.0, metavar="S",
                        help="draw gammas from [1 - S, 1 + S] (default: all are 1)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.add_argument("--version", action="version", version=version())
    return run_command(_run, parser, argv)


if __name__ == "__main__":
    raise SystemExit(main())
