"""One image at 416 through the engines, on the same threads, in turn.

    python benchmarks/forward.py --threads 2

The targets: torch at least as fast as OpenCV on yolov4-tiny, and at least 0.75 of it on yolov3.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli.device import tame_openmp

tame_openmp()  # as the commands do, before torch is imported

import numpy as np
from side_by_side import medians

from utils.darknet import initial_weights, read_network, write_cfg, write_weights
from utils.deploy import open_engine

NAMES = ("torch", "opencv", "onnxruntime")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfg", nargs="+", default=["cfg/yolov4-tiny.cfg", "cfg/yolov3.cfg"])
    parser.add_argument("--size", type=int, default=416)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    x = np.random.default_rng(0).random((1, 3, args.size, args.size), np.float32)
    print(f"{args.threads} threads, {args.size}x{args.size}, batch 1, median of {args.rounds} rounds in turn")
    for cfg in args.cfg:
        with tempfile.TemporaryDirectory() as folder:
            network = read_network(cfg).resized(args.size, args.size)
            pair = Path(folder, "net.cfg"), Path(folder, "net.weights")
            write_cfg(pair[0], network)
            write_weights(pair[1], network, initial_weights(network))
            engines = {name: open_engine(name, *pair, threads=args.threads) for name in NAMES}
            times = medians({name: partial(engine.heads, x) for name, engine in engines.items()}, args.rounds, 3)
        row = ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in times.items())
        print(f"{cfg}: {row}; torch runs at {times['opencv'] / times['torch']:.2f} of OpenCV's speed, "
              f"{times['onnxruntime'] / times['torch']:.2f} of ONNX Runtime's")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
