"""Building yolov3 and loading its 62 million parameters, against reading the file with numpy plus one copy.

    python benchmarks/loading.py

The target is a ratio of at most 3; torch's import is not counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from side_by_side import medians

from models import load_model
from utils.darknet import initial_weights, read_network, write_weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", default="cfg/yolov3.cfg")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    network = read_network(args.cfg)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "yolov3.weights")
        write_weights(path, network, initial_weights(network))
        times = medians({
            "np.fromfile + one copy": lambda: np.fromfile(path, np.float32).copy(),
            "build + load": lambda: load_model(args.cfg, path),
        }, args.rounds, warmup=2)
    for name, seconds in times.items():
        print(f"{name:<24} {1000 * seconds:8.1f} ms")
    print(f"ratio {times['build + load'] / times['np.fromfile + one copy']:.2f} (target: at most 3)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
