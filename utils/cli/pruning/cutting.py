"""From a plan to the smaller network and its weights, as --fold, --repair and --engine-neutral ask for it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from utils.darknet import Network, Weights
    from utils.datasets import CalibrationImages
    from utils.pruning import Plan


@dataclass(frozen=True, eq=False)
class Cutting:
    """A pair, and how it is cut.

    images: to measure on; None where nothing is measured. means: the measured mean of each layer's channels, for the mean
    folds; None where they are computed.
    """

    args: argparse.Namespace
    network: Network
    weights: Weights
    images: CalibrationImages | None = None
    means: Mapping[int, np.ndarray] | None = None

    @classmethod
    def of(cls, args: argparse.Namespace, network: Network, weights: Weights) -> Cutting:
        """Measures the means where a mean fold is asked for and --images are given.

        Raises:
            OptionError: --repair has no images to measure on. DataError: they cannot be used.
        """
        measures = args.fold in ("mean", "exact-mean") and args.images is not None
        if args.repair != "bn" and not measures:
            return cls(args, network, weights)
        from utils.cli.calibration import read_calibration_images
        from utils.training import channel_means

        images = read_calibration_images(args, network)
        means = channel_means(network, weights, images.batches(args.batch_size), device=_device(args)) if measures else None
        return cls(args, network, weights, images, means)

    def cut(self, plan: Plan) -> tuple[Network, Weights]:
        """What is to be written; PlanError where the plan cannot be followed."""
        from utils.pruning import apply_plan

        smaller, pruned = apply_plan(self.network, self.weights, plan, fold=self.args.fold, means=self.means)
        if self.args.repair == "bn":
            from utils.training import recalibrated

            pruned = recalibrated(smaller, pruned, self.images.batches(self.args.batch_size), device=_device(self.args))
        if self.args.engine_neutral:
            from utils.deploy import engine_neutral

            pruned = engine_neutral(smaller, pruned)
        return smaller.portable(), pruned

    def approximate_layers(self, plan: Plan) -> tuple[int, ...]:
        """The layers that the cut computes approximately, at borders or altogether, whichever weights come out."""
        from utils.pruning import carried_out

        return carried_out(self.network, self.weights, plan, self.args.fold, self.means).approximate_layers


def read_starting_weights(path: Path, network: Network) -> Weights:
    """The arrays of a .weights file or of a checkpoint; WeightsError where they do not fit."""
    from models import is_checkpoint, load_checkpoint
    from utils.darknet import read_weights

    if is_checkpoint(path):
        return load_checkpoint(path).weights_for(network)
    return read_weights(path, network)


def _device(args: argparse.Namespace) -> str:
    from utils.cli.device import select_device

    return str(select_device(args.device))
