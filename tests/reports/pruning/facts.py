"""Facts of a pruning as the command writes them, made up, with everything in it that a page can show."""

from __future__ import annotations

from typing import Any

import numpy as np


def made_up_facts(*, convolutions: int = 24, sweep: bool = True, blocks: bool = True) -> dict[str, Any]:
    """Plain values; the same each time."""
    rng = np.random.default_rng(3)
    widths = [{"layer": i, "before": int(b), "after": max(1, int(b * rng.uniform(0.1, 1)))}
              for i, b in enumerate(np.repeat([32, 64, 128, 256, 512], -(-convolutions // 5))[:convolutions])]
    removed = [[5, 6, 7], [10, 11, 12]] if blocks else []
    for row in widths:
        row["after"] = 0 if any(row["layer"] in block for block in removed) else row["after"]
    edges = np.geomspace(1e-6, 1.5, 74)
    small, large = np.histogram(10 ** rng.normal(-4, 0.6, 900), edges)[0], np.histogram(10 ** rng.normal(-0.7, 0.3, 1500), edges)[0]
    before = {"map50": 0.8123, "map": 0.5, "parameters": 3_852_000, "gflops": 4.123, "file_bytes": 15_408_020,
              "latency_ms": 40.1, "latency_p95_ms": 44.0, "cfg": "cfg/my.cfg", "weights": "weights/my.weights"}
    after = {**before, "map50": 0.8101, "parameters": 911_000, "gflops": 1.31, "file_bytes": 3_644_020, "latency_ms": 18.3,
             "cfg": "cfg/prune_0.5_my.cfg", "weights": "weights/prune_0.5_my.weights"}
    points = [{"value": round(v, 1), "map50": 0.81 - 0.9 * max(0, v - 0.5) ** 2, "map": 0.5, "parameters": 3.8e6 * (1 - v) ** 2,
               "gflops": 4.1 * (1 - v) ** 1.5, "file_bytes": 1.5e7 * (1 - v) ** 2, "latency_ms": 40 * (1 - 0.8 * v)}
              for v in np.arange(0.1, 0.95, 0.1).tolist()]
    head = {"layer": 23, "channels": 24, "value_range": 12.5, "max_abs": 1e-6, "own_max_abs": 2e-5, "magnitude": 9.0,
            "relative": 8e-8, "own_relative": 1.6e-6}
    return {
        "version": "Bonsai 0.1.0", "command_line": "python slim_prune.py --cfg cfg/my.cfg --weights weights/my.weights",
        "strategy": "slim", "parameters": {"global_percent": 0.5, "layer_keep": 0.01},
        "before": before, "after": after, "asked": {"channels that could go": 0.5},
        "reached": {"channels that could go": 0.48, "all channels": 0.47, "parameters": 0.76, "GFLOPs": 0.68},
        "fold": {"name": "exact", "approximate_layers": [], "adders": []},
        "repair": {"name": "none", "images": 0, "missed_at_heads": None},
        "latency": {"engine": "torch", "threads": 2, "repeats": 20, "warmup": 3, "predicted_ms": None},
        "summary": {"widths": widths, "blocks": removed},
        "gammas": {"edges": edges.tolist(), "kept": large.tolist(), "removed": small.tolist(), "threshold": 0.0123,
                   "smallest_kept": 0.021,
                   "largest_removed": 0.0071},
        "sweep": {"flag": "--global_percent", "max_drop": 0.01, "largest_within": 0.5, "chosen": 0.5,
                  "knee": {"value": 0.7, "quality": "mAP@0.5", "limit": 0.03, "seen": True},
                  "uncut": {**before, "value": None}, "points": points} if sweep else None,
        "verification": {"status": "verified", "reason": "", "reference": "torch", "tolerance": 1e-4, "engines": [
            {"title": "OpenCV", "status": "verified", "reason": "", "heads": [head]},
            {"title": "Darknet", "status": "cannot run", "reason": "there is no darknet executable", "heads": []}]},
    }
