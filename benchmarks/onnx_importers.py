"""What other programs compute from the files of export.py, against torch on the pair. In two steps, because OpenCV 5 and ncnn
want environments of their own:

    python benchmarks/onnx_importers.py --pairs ../shared/weights --write exported
    OTHER/bin/python benchmarks/onnx_importers.py --read exported --program opencv

The first exports every folder below --pairs that holds model.cfg and model.weights, as heads and as boxes, and keeps two
images and what torch makes of them. The second needs nothing of this project: numpy, and OpenCV (any version), onnxruntime,
or ncnn and pnnx. It prints the largest difference as a share of the output's range (boxes: in pixels), one Markdown row a pair.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

Run = Callable[[Path, np.ndarray, list[str]], list[np.ndarray]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--write", type=Path, metavar="DIR")
    parser.add_argument("--read", type=Path, metavar="DIR")
    parser.add_argument("--program", choices=PROGRAMS, default="opencv")
    args = parser.parse_args()
    if args.write:
        write(args.pairs, args.write)
        return 0
    version, run = PROGRAMS[args.program]()
    print(f"| pair | {version}: heads | boxes, pixels |\n|---|---|---|")
    for truth in sorted(args.read.glob("*/truth.npz")):
        print(f"| {truth.parent.name} | {' | '.join(differences(truth, run))} |", flush=True)
    return 0


def write(pairs: Path, out: Path) -> None:
    """The exported files, and beside them `truth.npz`: x (2, C, H, W), and each output by its name."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    import torch

    from models import load_model
    from utils.deploy import export_onnx, open_engine, random_images

    for cfg in sorted(pairs.glob("*/model.cfg")):
        weights, folder = cfg.with_suffix(".weights"), out / cfg.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        done = export_onnx(cfg, weights, folder / "heads.onnx")
        export_onnx(cfg, weights, folder / "boxes.onnx", decoded=True)
        x = random_images(2, *done.report.image_shape[1:], seed=1)
        heads = open_engine("torch", cfg, weights).heads(x)
        with torch.inference_mode():
            boxes, _ = load_model(cfg, weights).eval()(torch.from_numpy(x))
        np.savez(folder / "truth.npz", x=x, predictions=boxes.numpy(), **dict(zip(done.outputs, heads, strict=True)))


def differences(truth: Path, run: Run) -> Iterator[str]:
    """The worst over all heads, as a share of the head's range; and over all boxes, in pixels."""
    with np.load(truth) as file:
        stored = dict(file)
    x = stored.pop("x")
    boxes = stored.pop("predictions")
    heads = zip(run(truth.with_name("heads.onnx"), x, list(stored)), stored.values(), strict=True)
    yield f"{max(float(np.abs(got - want).max() / np.ptp(want)) for got, want in heads):.1e}"
    (got,) = run(truth.with_name("boxes.onnx"), x, ["predictions"])
    yield f"{np.abs(got - boxes)[..., :4].max():.1e}"


def opencv() -> tuple[str, Run]:
    """The newest engine that this OpenCV has."""
    import cv2

    def run(file: Path, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
        net = cv2.dnn.readNetFromONNX(str(file))
        net.setInput(x, "images")
        return list(net.forward(names))

    return f"OpenCV {cv2.__version__}", run


def onnxruntime() -> tuple[str, Run]:
    """On the CPU."""
    import onnxruntime

    def run(file: Path, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        return session.run(names, {"images": x})

    return f"ONNX Runtime {onnxruntime.__version__}", run


def ncnn() -> tuple[str, Run]:
    """Converted by pnnx without half precision; one image at a time."""
    import ncnn

    def run(file: Path, x: np.ndarray, names: list[str]) -> list[np.ndarray]:
        pnnx = str(Path(sys.executable).with_name("pnnx"))
        subprocess.run([pnnx, file.name, "fp16=0"], cwd=file.parent, check=True, capture_output=True)
        net = ncnn.Net()
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.load_param(str(file.with_suffix(".ncnn.param")))
        net.load_model(str(file.with_suffix(".ncnn.bin")))
        outputs = []
        for image in x:
            matrix, extractor = ncnn.Mat(image), net.create_extractor()
            extractor.input("in0", matrix)
            outputs.append([np.array(extractor.extract(f"out{number}")[1]) for number in range(len(names))])
        return [np.stack(parts) for parts in zip(*outputs, strict=True)]

    return f"ncnn {ncnn.__version__}", run


PROGRAMS = {"opencv": opencv, "onnxruntime": onnxruntime, "ncnn": ncnn}

if __name__ == "__main__":
    raise SystemExit(main())
