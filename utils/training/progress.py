"""Where a training is: what a checkpoint has to know to go on with the very next batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from utils.training.events import LossMeans


@dataclass
class Progress:
    """Where a training is: the next epoch and batch to do, optimiser steps and images done, and the epoch's sums."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    images: int = 0
    best: float = -1.0
    bad_in_a_row: int = 0
    skipped_in_epoch: int = 0
    losses: LossMeans = field(default_factory=LossMeans)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"epoch": self.epoch, "batch": self.batch, "step": self.step, "images": self.images, "best": self.best,
                "bad_in_a_row": self.bad_in_a_row, "skipped_in_epoch": self.skipped_in_epoch,
                "loss_sums": dict(self.losses.sums), "loss_count": self.losses.count}

    @classmethod
    def of_dict(cls, values: Mapping[str, Any]) -> Progress:
        """What `to_dict` gave."""
        rest = {key: value for key, value in values.items() if key not in ("loss_sums", "loss_count")}
        return cls(**rest, losses=LossMeans(dict(values["loss_sums"]), values["loss_count"]))
