"""Prunes pairs that others trained at several shares, verifies each in OpenCV, and prints one Markdown table.

    python benchmarks/real_pairs.py --pairs ../shared/weights --coco data/coco128.data

Every folder below --pairs that holds model.cfg and model.weights is pruned by slim_prune.py; those with 80 classes are
also evaluated on --coco.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import slim_prune
from utils.darknet import read_network

COLUMNS = ("pair", "asked", "channels", "parameters", "GFLOPs", "mAP@0.5", "mAP@0.5:0.95", "OpenCV, same epsilon",
           "OpenCV as deployed")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--coco", type=Path, help=".data file of labelled COCO images")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3, 0.5])
    args = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for cfg in sorted(args.pairs.glob("*/model.cfg")):
        for row in rows(cfg, args.coco, args.shares):
            print(f"| {' | '.join(row)} |", flush=True)
    return 0


def rows(cfg: Path, coco: Path | None, shares: list[float]) -> Iterator[tuple[str, ...]]:
    """One row per share, after a row for the pair as it is."""
    eighty = read_network(cfg).heads[0].options.classes == 80
    for number, share in enumerate(shares):
        facts = pruned(cfg, share, coco if eighty else None)
        before, after = facts["before"], facts["after"]
        if not number:
            yield (cfg.parent.name, "-", "", f"{before['parameters']:,}", f"{before['gflops']:.3f}",
                   score(before["map50"]), score(before["map"]), "", "")
        heads = [head for engine in facts["verification"]["engines"] for head in engine["heads"]]
        yield ("", f"{share:.0%}", f"-{facts['reached']['channels that could go']:.1%}",
               f"{after['parameters']:,} (-{facts['reached']['parameters']:.1%})",
               f"{after['gflops']:.3f} (-{facts['reached']['GFLOPs']:.1%})", score(after["map50"]), score(after["map"]),
               f"{max(head['relative'] for head in heads):.1e}", f"{max(head['own_relative'] for head in heads):.1e}")


def pruned(cfg: Path, share: float, data: Path | None) -> dict[str, Any]:
    """What slim_prune.py reports, as it writes it."""
    with tempfile.TemporaryDirectory() as out:
        argv = ["--cfg", str(cfg), "--weights", str(cfg.with_suffix(".weights")), "--global_percent", str(share),
                "--out", out, "--repeats", "1", "-q", *(("--data", str(data)) if data else ())]
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = slim_prune.main(argv)
        if code:
            raise SystemExit(f"{cfg}: slim_prune.py ended with {code}\n{said.getvalue()}")
        return json.loads(next(Path(out).glob("*.json")).read_text())


def score(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    raise SystemExit(main())
