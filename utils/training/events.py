"""What a training tells while it runs: values, for bars, tables, files and pictures to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch is done.

    epoch, batch: counted from 0. losses: means since the epoch began, by part, and "total". lr: of the last step.
    targets: boxes that a head was responsible for. size: (height, width) of the images, pixels. images: in the batch,
    of all processes. memory_mb: as in `EpochReport`.
    """

    epoch: int
    batch: int
    batches: int
    losses: Mapping[str, float]
    lr: float
    targets: int
    size: tuple[int, int]
    images: int
    memory_mb: float


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch is done, and evaluated if that was asked for.

    losses: means over the epoch, by part, and "total". lr: of its last step. s: strength of the sparsity, if any.
    metrics: precision, recall, f1, map50, map (COCO's), or None. sparsity: the numbers of the gauge, or None.
    remarks: what the gauge, and in its first epoch the teacher, has to say about them.
    is_best: whether no earlier epoch had a higher map50. skipped_steps: left out because of Inf or NaN.
    seconds: of training, without evaluation. memory_mb: of this process (CPU) or device (CUDA), at its highest.
    """

    epoch: int
    epochs: int
    losses: Mapping[str, float]
    lr: float
    s: float | None
    metrics: Mapping[str, float] | None
    sparsity: Mapping[str, float] | None
    remarks: tuple[str, ...]
    is_best: bool
    skipped_steps: int
    images_per_second: float
    memory_mb: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Somebody asked the training to stop; it can go on from here. epoch, batch: the next one to do."""

    epoch: int
    batch: int


Event = BatchReport | EpochReport | Interrupted


@dataclass
class LossMeans:
    """Running means of loss parts, kept as sums so that a resumed epoch ends with the same figures."""

    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def add(self, parts: Mapping[str, float]) -> None:
        """Take in one batch."""
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def means(self) -> dict[str, float]:
        """The mean of each part so far."""
        return {name: value / max(1, self.count) for name, value in self.sums.items()}
