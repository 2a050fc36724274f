"""How long the labels of 100,000 images take: read for the first time, and from a warm cache.

    python benchmarks/label_scan.py [--images N] [--folder DIR]

The images are one pixel wide, so what is measured is files, not pixels. The floor is a plain `os.stat` of all image and
label files, which any check for changes has to do. The target: under 2 s from a warm cache.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from side_by_side import medians

from utils.datasets import scan_images


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--folder", help="where the files are made for a while; by default the system's place")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        source, files = make_files(Path(folder), args.images)
        first = medians({"read": lambda: scan_images(source, 80)}, 1, warmup=0)["read"]
        assert scan_images(source, 80).cached
        taken = medians({"cache": lambda: scan_images(source, 80), "stat": lambda: [os.stat(file) for file in files]}, 5)
    print(f"{args.images:,} images with labels")
    print(f"read for the first time {first:.2f} s")
    print(f"from a warm cache       {taken['cache']:.2f} s (target: under 2 for 100,000)")
    print(f"os.stat of all files    {taken['stat']:.2f} s, so the cache takes {taken['cache'] / taken['stat']:.2f} times that")
    return 0


def make_files(folder: Path, images: int) -> tuple[Path, list[str]]:
    """The list, and all image and label files."""
    picture = cv2.imencode(".png", np.zeros((1, 1, 3), dtype=np.uint8))[1].tobytes()
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    names = [f"{i:012d}" for i in range(images)]
    for i, name in enumerate(names):
        (folder / "images" / f"{name}.png").write_bytes(picture)
        (folder / "labels" / f"{name}.txt").write_text(f"{i % 80} 0.5 0.5 0.25 0.25\n" * (1 + i % 8))
    source = folder / "train.txt"
    source.write_text("".join(f"{folder}/images/{name}.png\n" for name in names))
    return source, [f"{folder}/{kind}" for name in names for kind in (f"images/{name}.png", f"labels/{name}.txt")]


if __name__ == "__main__":
    raise SystemExit(main())
