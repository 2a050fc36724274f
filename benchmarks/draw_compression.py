"""The README's picture: mAP against size, ours and folding, from the table of docs/compressing.md.

    python benchmarks/draw_compression.py --network dense
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from utils.reports.training.figure import COLOURS, figure_to_file, plain_axes

LINES = {"reconstructed": "compress.py, right after the cut", "batch norm": "same channels, batch norms measured anew",
         "folded": "same channels, constants folded", "gamma, folded": "channels by gamma, folded (the ancestors' way)"}


def rows(page: Path, network: str) -> list[dict[str, str]]:
    """The rows of one network in the first table that has them, by column."""
    found, header = [], []
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| network"):
            header = cells
        elif line.startswith(f"| {network} |") and set(LINES) <= set(header):
            found.append(dict(zip(header, cells, strict=True)))
        elif not line.startswith("|") and found:
            break
    if not found:
        raise SystemExit(f"error: {page}: has no rows of {network!r}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "compressing.md")
    parser.add_argument("--network", default="dense")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "img" / "compression.png")
    args = parser.parse_args()
    first, *rest = rows(args.page, args.network)
    found = re.search(r"uncut: ([\d.]+)", first["target"])
    if found is None:
        raise SystemExit(f"error: {args.page} has no row `uncut` of {args.network}; name another --network")
    uncut = float(found[1])
    size = [float(first["parameters"].split()[0]) / 1000]
    sizes = size + [float(row["parameters"].split()[0]) / 1000 for row in rest]
    with figure_to_file(args.out, 1200, 620) as figure:
        axes = figure.subplots()
        plain_axes(axes, "mAP@0.5 of a yolov3 (a quarter of the width, BCCD) after pruning, without any training", x="")
        axes.axhline(uncut, color="#999999", linewidth=1, linestyle=":")
        for number, (column, title) in enumerate(LINES.items()):
            values = [uncut] + [float(row[column].split()[0]) for row in rest]
            axes.plot(sizes, values, marker="o", color=COLOURS[number % len(COLOURS)], label=title,
                      linewidth=3 if number == 0 else 1.8)
        axes.set_xscale("log", base=2)
        axes.invert_xaxis()
        axes.set_xticks(sizes, [f"{one:.2f} M\n{'' if n == 0 else f'1/{2 ** n}'}" for n, one in enumerate(sizes)])
        axes.minorticks_off()
        axes.set_xlabel("parameters")
        axes.set_ylim(0, 0.9)
        axes.legend(loc=(0.33, 0.17))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
