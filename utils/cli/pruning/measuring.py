"""How good and how fast a written pair is: mAP on --data, latency, and what other engines say to it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from utils.darknet import Network
    from utils.datasets import DetectionDataset
    from utils.deploy import Engine, Latency, VerificationReport
    from utils.training import EvaluationResult

Files = tuple[Path, Path]
"""The cfg and the weights of a pair."""


@dataclass(frozen=True)
class Validation:
    """The labelled images of --data, ready to measure a pair on."""

    args: argparse.Namespace
    network: Network
    dataset: DetectionDataset
    letterbox: bool

    @classmethod
    def of(cls, args: argparse.Namespace, network: Network) -> Validation | None:
        """None without --data; DataError where it cannot be used."""
        if args.data is None:
            return None
        from utils.cli.arguments import letterboxed
        from utils.cli.validation import validation_set
        from utils.training import HeadDecoder

        dataset = validation_set(args.data, HeadDecoder(network).classes)
        return cls(args, network, dataset, letterboxed(args.letterbox, network.net.letter_box))

    def images(self, count: int) -> np.ndarray:
        """The first images as the network sees them, (n, C, H, W)."""
        import numpy as np

        from utils.datasets import prepare

        size = self.network.net.height, self.network.net.width
        samples = [self.dataset[i].image for i in range(min(count, len(self.dataset)))]
        channels = self.network.net.channels
        return np.stack([prepare(image, size, self.letterbox, channels=channels)[0] for image in samples])

    def evaluate(self, pair: Files, name: str) -> EvaluationResult:
        """All figures of a pair; `name` is shown beside the bar."""
        from utils.cli.progress import progress_bar
        from utils.darknet import read_network
        from utils.training import evaluate_engine

        args = self.args
        with progress_bar(f"evaluating {name}", len(self.dataset), quiet=args.quiet) as advance:
            return evaluate_engine(engine_of(args, pair), read_network(pair[0]), self.dataset, letterbox=self.letterbox,
                                   batch_size=args.batch_size, workers=args.workers, advance=advance)


def latency_of(args: argparse.Namespace, network: Network, pair: Files) -> Latency:
    """One image of the network's input size through a pair, in the engine of --engine, on an input that was drawn."""
    from utils.deploy import measure, random_images

    shape = network.input_shape
    x = random_images(1, shape.channels, shape.height, shape.width, args.seed)
    return measure(engine_of(args, pair), x, repeats=args.repeats)


def verify(args: argparse.Namespace, validation: Validation | None, pair: Files) -> VerificationReport:
    """Compare a pair with the engines of --verify-engines.

    Raises:
        VerificationError: one of them computes something else.
    """
    from utils.deploy import verify_pair

    engines = [name.strip() for name in args.verify_engines.split(",") if name.strip()]
    return verify_pair(*pair, validation.images(2) if validation else None, engines, threads=args.threads, seed=args.seed)


def engine_of(args: argparse.Namespace, pair: Files) -> Engine:
    """The engine of --engine with a pair loaded."""
    from utils.cli.engines import open_requested_engine, requested_network

    own = argparse.Namespace(**{**vars(args), "cfg": pair[0], "weights": pair[1]})
    return open_requested_engine(own, requested_network(own))
