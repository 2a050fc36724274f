"""What each round of a compression is worth: costs, latency, agreement with the original, and mAP where there are labels."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli.pruning.measured_network import Measured, measured
from utils.cli.pruning.measuring import Files, Validation, engine_of
from utils.cli.pruning.staging import final_names, write_pair
from utils.errors import DataError

if TYPE_CHECKING:
    from utils.darknet import Network
    from utils.datasets import DetectionDataset
    from utils.training import Round

_IMAGES = 64  # that the agreement is measured on, at most


@dataclass(frozen=True, eq=False)
class Judge:
    """Measures rounds. truth: what the original finds on images that calibrated nothing, where there are such."""

    args: argparse.Namespace
    validation: Validation | None
    letterbox: bool
    truth: DetectionDataset
    pair: Files

    @classmethod
    @contextmanager
    def opened(cls, args: argparse.Namespace, validation: Validation | None, uncut: Round,
               calibrated: tuple[Path, ...]) -> Iterator[Judge]:
        """Ready to measure; what it writes meanwhile goes afterwards. DataError where an image cannot be read."""
        from utils.cli.arguments import letterboxed
        from utils.training import detections_as_labels

        letterbox = letterboxed(args.letterbox, uncut.network.net.letter_box)
        paths = _agreement_paths(args, validation, calibrated)
        with tempfile.TemporaryDirectory(prefix="bonsai-compress-") as folder:
            pair = Path(folder, "cut.cfg"), Path(folder, "cut.weights")
            with final_names({str(pair[0]): args.cfg, str(pair[1]): args.weights}):
                write_pair(uncut.network, uncut.weights, pair)
                truth = detections_as_labels(engine_of(args, pair), uncut.network, paths, letterbox=letterbox,
                                             workers=args.workers)
                yield cls(args, validation, letterbox, truth, pair)

    @property
    def sees_something(self) -> bool:
        """Whether the original finds anything to agree on."""
        return any(len(labels) for labels in self.truth.labels)

    def judged(self, found: Round, network: Network) -> Measured:
        """A round's figures; `network` is the original. The original itself has no value and agrees with itself."""
        value = network.parameters / found.network.parameters if found.heads else None
        point = measured(self.args, (found.network.portable(), found.weights), self.pair, self.validation, value,
                         found.plan if found.heads else None)
        if not found.heads:
            return replace(point, agreement=1.0 if self.sees_something else None)
        agreed = None
        if self.sees_something:
            from utils.training import agreement

            agreed = agreement(engine_of(self.args, self.pair), found.network, self.truth, letterbox=self.letterbox,
                               workers=self.args.workers)
        return replace(point, agreement=agreed, missed=found.residual)


def _agreement_paths(args: argparse.Namespace, validation: Validation | None, calibrated: tuple[Path, ...]) -> list[Path]:
    """Images of --data's valid=, or of --images that were not used to calibrate, or else those that were; evenly spread."""
    from utils.cli.calibration import calibration_paths

    if validation is not None:
        return _spread(validation.dataset.paths)
    used = set(calibrated)
    fresh = [path for path in _spread([path for path in calibration_paths(args) if path not in used]) if _is_readable(path)]
    return fresh if len(fresh) >= max(1, len(calibrated) // 4) else _spread(calibrated)


def _spread(paths: Sequence[Path]) -> list[Path]:
    return list(paths[::max(1, len(paths) // _IMAGES)][:_IMAGES])


def _is_readable(path: Path) -> bool:
    from utils.datasets import load_image

    try:
        load_image(path)
    except DataError:
        return False
    return True
