"""From `--cfg --weights --engine --device --threads` to an engine that is ready to run."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from utils.darknet import Network, read_network
from utils.errors import EngineError, OptionError

if TYPE_CHECKING:
    from utils.deploy import Engine

_logger = logging.getLogger(__name__)


def requested_network(args: argparse.Namespace) -> Network:
    """The network of `--cfg`, at the size of `--img_size` where that is given.

    Raises:
        CfgError: the cfg makes no sense, or not at this size. EngineError: `--engine` is not installed, which is told before
            time is spent.
    """
    if getattr(args, "engine", "torch") != "torch":
        from utils.deploy import ENGINES

        missing = ENGINES[args.engine].missing()
        if missing:
            raise EngineError(args.engine, f"{ENGINES[args.engine].title} is not installed", missing)
    network = read_network(args.cfg)
    return network if args.img_size is None else network.resized(*args.img_size)


def open_requested_engine(args: argparse.Namespace, network: Network) -> Engine:
    """The engine of `--engine`, with the pair loaded.

    torch takes .weights and .pt files and runs on `--device`; the other engines read the two Darknet files themselves
    and run on the CPU.

    Raises:
        EngineError: it is not installed, or cannot run this cfg, or would silently compute something else.
        WeightsError: the weights do not fit the cfg, or are the beginning of a network only.
        OptionError: `--device` is not there, or is a GPU and the engine is not torch.
    """
    from utils.cli.device import select_device
    from utils.deploy import engine_problems, open_engine

    problems = engine_problems(args.engine, network)
    if problems:
        raise EngineError(args.engine, f"cannot run {args.cfg}: {problems[0]}"
                          + (f" (and {len(problems) - 1} more reasons)" if len(problems) > 1 else ""),
                          "take --engine torch")
    if args.engine == "torch":
        return _torch_engine(args, network)
    if select_device(args.device).type != "cpu" and args.device != "auto":
        raise OptionError("--device", f"{args.device} is for --engine torch; {args.engine} runs on the CPU",
                          "leave --device out")
    return open_engine(args.engine, args.cfg, args.weights, threads=args.threads)


def _torch_engine(args: argparse.Namespace, network: Network) -> Engine:
    from models import is_checkpoint, load_checkpoint, model_with
    from utils.cli.device import select_device
    from utils.darknet import read_weights
    from utils.training import ModelEngine

    device = select_device(args.device)
    if is_checkpoint(args.weights):
        weights = load_checkpoint(args.weights).weights_for(network)
    else:
        weights = read_weights(args.weights, network)  # a file with the first layers only is an error here
    _logger.debug("running %s on %s", args.weights, device)
    return ModelEngine(model_with(network, weights).fuse().to(device), threads=args.threads)
