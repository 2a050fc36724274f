"""From a plan to the smaller network and its weights, as --fold, --repair and --engine-neutral ask for it."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from utils.errors import DataError, OptionError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from utils.darknet import Network, Weights
    from utils.datasets import CalibrationImages
    from utils.pruning import FoldName, Plan


_logger = logging.getLogger(__name__)

Repair = Literal["none", "bn", "reconstruct"]


class CutPair(NamedTuple):
    """A smaller pair.

    heads: what it misses at each head, as `Reconstruction.heads`; None where nothing was reconstructed.
    predicted_ms: what a latency model said of it; None without one. approximate_layers: of the old network, those that a
    fold computes approximately. adders: the [shortcut]s of the old network in whose place a layer adds their block's constant.
    """

    network: Network
    weights: Weights
    heads: tuple[float, ...] | None = None
    predicted_ms: float | None = None
    approximate_layers: tuple[int, ...] = ()
    adders: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Cutting:
    """A pair, and how it is cut.

    fold: what becomes of constants; None where they are found by reconstruction. images: to measure on; None where nothing
    is measured. means: the measured mean of each layer's channels, for the mean folds; None where they are computed.
    """

    args: argparse.Namespace
    network: Network
    weights: Weights
    repair: Repair = "none"
    fold: FoldName | None = "exact"
    images: CalibrationImages | None = None
    means: Mapping[int, np.ndarray] | None = None

    @classmethod
    def of(cls, args: argparse.Namespace, network: Network, weights: Weights) -> Cutting:
        """Reads images where something is to be measured on them.

        Raises:
            DataError: they cannot be used.
        """
        from utils.cli.calibration import images_at_hand, read_calibration_images

        repair: Repair = args.repair
        if args.repair == "auto":
            repair = "reconstruct" if args.fold is None and images_at_hand(args) else "none"
        fold: FoldName | None = None if repair == "reconstruct" else args.fold or "exact"
        measures = fold in ("mean", "exact-mean") and args.images is not None
        if repair == "none" and not measures:
            return cls(args, network, weights, repair, fold)
        try:
            images = read_calibration_images(args, network)
        except DataError as error:
            if args.repair != "auto" or args.images is not None:
                raise
            _logger.warning("%s; nothing is repaired", error)
            return cls(args, network, weights)
        if not measures:
            return cls(args, network, weights, repair, fold, images)
        from utils.training import channel_means

        means = channel_means(network, weights, images.batches(args.batch_size), device=device_name(args))
        return cls(args, network, weights, repair, fold, images, means)

    def cut(self, plan: Plan) -> CutPair:
        """What is to be written; PlanError where the plan cannot be followed."""
        cut = self._repaired(plan)
        weights = cut.weights
        if self.args.engine_neutral:
            from utils.deploy import engine_neutral

            weights = engine_neutral(cut.network, weights)
        return cut._replace(network=cut.network.portable(), weights=weights)

    def _repaired(self, plan: Plan) -> CutPair:
        if self.repair == "reconstruct" and self.images is not None:
            from utils.cli.progress import progress_bar
            from utils.training import Sampling, reconstructed

            with progress_bar("repairing", len(self.network.layers), unit="layer", quiet=self.args.quiet) as advance:
                found = reconstructed(self.network, self.weights, plan, self.images.images, device=device_name(self.args),
                                      sampling=Sampling(seed=self.args.seed), advance=advance)
            return CutPair(found.network, found.weights, found.heads)
        from utils.pruning import carried_out, cut_out

        carried = carried_out(self.network, self.weights, plan, fold=self.fold or "exact", means=self.means)
        network, weights = cut_out(carried)
        if self.repair == "bn" and self.images is not None:
            from utils.training import recalibrated

            weights = recalibrated(network, weights, self.images.batches(self.args.batch_size), device=device_name(self.args))
        return CutPair(network, weights, approximate_layers=carried.approximate_layers, adders=carried.adders)


def check_repair(args: argparse.Namespace) -> None:
    """OptionError where --repair has no images to measure on, or does not go with --fold."""
    from utils.cli.calibration import check_images_named

    if args.repair == "reconstruct" and args.fold is not None:
        raise OptionError("--fold", "is for cuts without reconstruction, which finds the constants by itself",
                          "leave it out, or say --repair none")
    if args.repair in ("bn", "reconstruct"):
        check_images_named(args)


def read_starting_weights(path: Path, network: Network) -> Weights:
    """The arrays of a .weights file or of a checkpoint; WeightsError where they do not fit."""
    from models import is_checkpoint, load_checkpoint
    from utils.darknet import read_weights

    if is_checkpoint(path):
        return load_checkpoint(path).weights_for(network)
    return read_weights(path, network)


def device_name(args: argparse.Namespace) -> str:
    """What --device means on this machine."""
    from utils.cli.device import select_device

    return str(select_device(args.device))
