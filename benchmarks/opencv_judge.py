"""A pair judged by OpenCV alone: its importer, its pre-processing, its decoding and its suppression; only mAP is ours.

    python benchmarks/opencv_judge.py --cfg runs/train/my.cfg --weights runs/train/last.weights --data data/my.data

OpenCV drops boxes below a score of 0.2 unless the [yolo] says thresh=, which no Darknet knows. So the pair is judged twice:
as it is, which is what a user of OpenCV sees, and from a temporary copy that says thresh=0.001, as an mAP wants it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from utils.cli.validation import validation_set
from utils.darknet import read_network, write_cfg
from utils.datasets import DetectionDataset
from utils.detection import Metrics, evaluate
from utils.reports import comparison_table
from utils.training import HeadDecoder


def judged(cfg: Path, weights: Path, dataset: DetectionDataset, size: tuple[int, int]) -> Metrics:
    """All figures of what cv2.dnn.DetectionModel finds; size is (width, height) of the network's input."""
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    model = cv2.dnn.DetectionModel(net)
    model.setInputParams(scale=1 / 255, size=size, swapRB=True)
    detections, sizes = [], []
    for path in dataset.paths:
        image = cv2.imread(str(path))
        if image is None:
            raise SystemExit(f"error: {path} cannot be read; correct the valid= of --data")
        classes, scores, found = model.detect(image, confThreshold=0.001, nmsThreshold=0.45)
        rows = np.zeros((len(scores), 6), np.float32)
        if len(scores):
            boxes = np.asarray(found, np.float32)
            rows[:, :2], rows[:, 2:4] = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
            rows[:, 4], rows[:, 5] = np.ravel(scores), np.ravel(classes)
        detections.append(rows[np.argsort(-rows[:, 4], kind="stable")])
        sizes.append((image.shape[1], image.shape[0]))
    return evaluate(detections, dataset.labels, sizes, dataset.names)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--cfg", "--weights", "--data"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    network = read_network(args.cfg)
    dataset = validation_set(args.data, HeadDecoder(network).classes)
    size = (network.net.width, network.net.height)
    with tempfile.TemporaryDirectory() as folder:
        low = Path(folder, "low.cfg")
        write_cfg(low, network.with_options({head.index: {"thresh": "0.001"} for head in network.heads}))
        pairs = {"OpenCV alone, as it is": args.cfg, "OpenCV alone, thresh=0.001": low}
        metrics = {name: judged(cfg, args.weights, dataset, size) for name, cfg in pairs.items()}
    print(comparison_table({name: {"map50": one.map50_coco, "map": one.map, "f1": one.f1} for name, one in
                            metrics.items()}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
