"""compress.py from flags to files: calibrate, cut in rounds, judge each, write the one that was asked for, verified."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from utils.cli.calibration import read_calibration_images
from utils.cli.compression.budget import Budget
from utils.cli.compression.judging import Judge
from utils.cli.compression.rounds import Rounds, in_order, times
from utils.cli.pruning.cutting import CutPair, Cutting, device_name, read_starting_weights
from utils.cli.pruning.measured_network import check_labelled
from utils.cli.pruning.measuring import Validation
from utils.cli.pruning.prefixes import compressed as prefix_of
from utils.cli.pruning.showing import print_costs, print_result, print_sweep, print_widths
from utils.cli.pruning.staging import outputs_of
from utils.cli.pruning.sweep import Sweep
from utils.cli.pruning.writing import write_measured
from utils.errors import OptionError

if TYPE_CHECKING:
    from utils.darknet import Network
    from utils.training import Gradients, Round


def run_compression(args: argparse.Namespace) -> int:
    """The body of compress.py.

    Raises:
        BonsaiError: whatever is wrong with the inputs, the target, the outputs, or the pair that was written.
    """
    from utils.cli.device import prepare_process
    from utils.cli.engines import requested_network
    from utils.pruning import summarize
    from utils.training import Compressor, Sampling

    _check(args)
    args.threads = prepare_process(threads=args.threads, seed=args.seed)
    outputs = outputs_of(args, prefix_of({"target": _label(args)}))  # a name that cannot be is told before the time is spent
    network = requested_network(args)
    weights = read_starting_weights(args.weights, network)
    validation = Validation.of(args, network)
    images = read_calibration_images(args, network)
    compressor = Compressor(network, weights, images.images, args.criterion, args.round_to, not args.keep_blocks,
                            _gradients(args, network), _label(args), device_name(args), Sampling(seed=args.seed))
    budget = Budget(args, network, args.target) if args.target else None
    with Judge.opened(args, validation, compressor.uncut, images.paths) as judge:
        uncut = judge.judged(compressor.uncut, network)
        if args.max_drop is not None:
            check_labelled(args, uncut)
        rounds = Rounds(args, compressor, judge, uncut)
        chosen, point = rounds.towards(budget) if budget else rounds.until_dropped()
    sweep = Sweep("times fewer parameters", rounds.uncut, tuple(in_order(rounds.done)), args.max_drop, round(times(point), 2))
    print_sweep(sweep)
    cutting = Cutting(args, network, weights, "reconstruct", None, images)
    summary = summarize(network, chosen.network, chosen.plan)
    print_widths(summary, chosen.plan)
    pair = write_measured(args, chosen.plan, cutting, _finished(args, chosen, budget), summary, outputs, validation, sweep)
    print_costs(pair.summary, pair.metrics, pair.latency)
    if budget and budget.latency:
        print(f"predicted: {budget.latency.predicted_ms(chosen.network):.2f} ms, measured: {pair.latency[1].median_ms:.2f} ms "
              f"({args.engine}, one image)")
    print_result(args, pair)
    return 0


def _check(args: argparse.Namespace) -> None:
    """OptionError where flags do not go together."""
    if args.target is None and args.max_drop is None:
        raise OptionError("--target", "says how small the network shall be, and is missing",
                          "give for example --target 4x, or --max-drop 0.01 with --data")
    if args.max_drop is not None and args.data is None:
        raise OptionError("--max-drop", "needs --data to measure the mAP on", "give it, or say --target")
    if args.images is None and args.data is None:
        raise OptionError("--images", "is missing: nothing can be repaired without images",
                          "give a folder of images like those that the network shall see; no labels are needed")
    if args.criterion == "taylor" and args.data is None:
        raise OptionError("--criterion", "taylor needs labels", "give --data, or another criterion")


def _label(args: argparse.Namespace) -> str:
    """What was asked for, as names of files and plans hold it: `4x`, `gflops2.7x_params9x`, `drop0.01`."""
    words = [str(target).removeprefix("params:" if target.relative else "") for target in args.target or ()]
    if args.max_drop is not None:
        words.append(f"drop{args.max_drop:g}")
    return "_".join(words).replace(":", "")


def _finished(args: argparse.Namespace, chosen: Round, budget: Budget | None) -> CutPair:
    weights = chosen.weights
    if args.engine_neutral:
        from utils.deploy import engine_neutral

        weights = engine_neutral(chosen.network, weights)
    predicted = budget.latency.predicted_ms(chosen.network) if budget and budget.latency else None
    return CutPair(chosen.network.portable(), weights, chosen.heads, predicted)


def _gradients(args: argparse.Namespace, network: Network) -> Gradients | None:
    """Where the criterion asks for them."""
    if args.criterion != "taylor":
        return None
    from utils.cli.compression.gradients import labelled_gradients

    return labelled_gradients(args, network)
