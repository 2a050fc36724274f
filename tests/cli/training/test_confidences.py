"""What a training leaves can be used at Darknet's own threshold: confidences are not tiny."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from utils.cli.validation import validation_set
from utils.darknet import read_network
from utils.datasets.demo import generate
from utils.deploy import open_engine
from utils.training.evaluation import detect_dataset

CFG = Path(__file__).resolve().parents[3] / "scripts" / "demo.cfg"
DARKNET = 0.25  # the default of `darknet detector test -thresh`


def matched(detections: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Which rows (x1, y1, x2, y2, score, class) of one image find an object that none before has found, IoU above 0.5."""
    scale = np.array(size * 2)
    half = labels[:, 3:5] / 2
    boxes = np.concatenate((labels[:, 1:3] - half, labels[:, 1:3] + half), axis=1) * scale
    free = np.ones(len(labels), dtype=bool)
    hits = np.zeros(len(detections), dtype=bool)
    for row in np.argsort(-detections[:, 4], kind="stable"):
        corner, far = np.maximum(boxes[:, :2], detections[row, :2]), np.minimum(boxes[:, 2:], detections[row, 2:4])
        common = np.clip(far - corner, 0, None).prod(axis=1)
        area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(detections[row, 2:4] - detections[row, :2])
        right = free & (labels[:, 0] == detections[row, 5]) & (common / (area - common) > 0.5)
        if right.any():
            free[right.argmax()], hits[row] = False, True
    return hits


def f1_at(threshold: float, scores: np.ndarray, hits: np.ndarray, objects: int) -> float:
    """Harmonic mean of precision and recall of what is at least so likely."""
    chosen = scores >= threshold
    return 2 * float(hits[chosen].sum()) / max(1, int(chosen.sum()) + objects)


def trained(folder: Path, command: Callable[[str], Callable[[Sequence[str]], int]]) -> Path:
    """last.weights of the demo network after a short training."""
    data = generate(folder / "set", 160)
    assert command("train.py")([
        "--cfg", str(CFG), "--data", str(data), "--out", str(folder / "run"), "--epochs", "30", "--adam", "--lr0", "0.003",
        "--batch-size", "8", "--accumulate", "1", "--schedule", "cosine", "--hyp", "giou=10", "obj_pw=1", "--cache-images",
        "--notest", "--workers", "0", "--threads", "1", "--tensorboard", "off", "-q"]) == 0
    return folder / "run" / "last.weights"


@pytest.mark.slow
def test_darknets_default_threshold_suits_what_a_training_leaves(tmp_path, command):
    """Judged in OpenCV. Within a minute nobody learns much: what is asked is that the default is near the best threshold."""
    weights = trained(tmp_path, command)
    network = read_network(CFG)
    engine = open_engine("opencv", CFG, weights, threads=1)
    found = detect_dataset(engine, network, validation_set(tmp_path / "set" / "demo.data", 3), workers=0)
    hits = np.concatenate([matched(*one) for one in zip(found.detections, found.labels, found.sizes, strict=True)])
    scores = np.concatenate([one[:, 4] for one in found.detections])
    objects = sum(map(len, found.labels))
    best = max(f1_at(threshold, scores, hits, objects) for threshold in np.linspace(0.01, 0.95, 95))
    assert best > 0.6
    assert f1_at(DARKNET, scores, hits, objects) > 0.9 * best
