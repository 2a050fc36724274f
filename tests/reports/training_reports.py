"""Reports of epochs, as a training would yield them."""

from __future__ import annotations

from typing import Any

from utils.training.events import EpochReport


def epoch_report(epoch: int = 0, **changes: Any) -> EpochReport:
    """An epoch of a sparsity training of ten, with numbers that differ from epoch to epoch."""
    fields: dict[str, Any] = {
        "epoch": epoch, "epochs": 10,
        "losses": {"box": 1.25 / (epoch + 1), "obj": 2.5 / (epoch + 1), "cls": 0.75 / (epoch + 1), "total": 4.5 / (epoch + 1)},
        "lr": 0.002 / (epoch + 1), "s": 0.001,
        "metrics": {"precision": 0.5, "recall": 0.6, "f1": 0.54, "map50": 0.05 * (epoch + 1), "map": 0.02 * (epoch + 1)},
        "sparsity": {"share_1e2": 0.1 * epoch, "share_1e3": 0.05 * epoch, "prunable_share": 0.96,
                     "largest_share_limit": 0.09 * epoch, "mean_gamma": 1 - 0.1 * epoch},
        "remarks": (), "is_best": False, "skipped_steps": 0, "images_per_second": 37.25, "memory_mb": 1811.0,
        "seconds": 12.5,
    }
    return EpochReport(**{**fields, **changes})
