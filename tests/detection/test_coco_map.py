"""COCO's mAP against pycocotools, the reference implementation."""

from __future__ import annotations

import builtins
import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.detection import GroundTruth, evaluate_coco
from utils.errors import EngineError

SIZE = (640, 480)


def random_set(seed: int, images: int, classes: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Labels and imperfect detections: shifted, missed, doubled, of another class, invented; some crowds."""
    rng = np.random.default_rng(seed)
    detections, labels = [], []
    for _ in range(images):
        m = int(rng.integers(0, 9))
        size = np.exp(rng.uniform(np.log(8), np.log(240), (m, 2)))
        corner = rng.uniform(0, 1, (m, 2)) * (np.array(SIZE) - size)
        boxes, c = np.concatenate((corner, corner + size), axis=1), rng.integers(0, classes, m)
        labels.append(np.column_stack((c, (corner + size / 2) / SIZE, size / SIZE, rng.random(m) < 0.15,
                                       size.prod(1) * rng.uniform(0.5, 1, m))))
        copies = np.repeat(np.arange(m), rng.integers(0, 3, m))
        moved = boxes[copies] + rng.normal(0, 0.08, (len(copies), 4)) * np.tile(size[copies], 2)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        wrong = rng.random(len(copies)) < 0.1
        kinds = np.where(wrong, rng.integers(0, classes, len(copies)), c[copies])
        invented = rng.uniform(0, 200, (int(rng.integers(0, 3)), 4)) + np.array([0, 0, 210, 210])
        rows = np.column_stack((np.concatenate((moved, invented)), rng.random(len(moved) + len(invented)),
                                np.concatenate((kinds, rng.integers(0, classes, len(invented))))))
        detections.append(rows.reshape(-1, 6))
    return detections, labels


def pycocotools_map(detections, labels, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The first six numbers of pycocotools' summary, and AP per class."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        annotations = []
        for image, rows in enumerate(labels, start=1):
            for c, x, y, w, h, crowd, area in rows:
                annotations.append({"id": len(annotations) + 1, "image_id": image, "category_id": int(c) + 1,
                                    "bbox": [(x - w / 2) * SIZE[0], (y - h / 2) * SIZE[1], w * SIZE[0], h * SIZE[1]],
                                    "area": area, "iscrowd": int(crowd)})
        truth = COCO()
        truth.dataset = {"info": {}, "images": [{"id": i + 1} for i in range(len(labels))],
                         "categories": [{"id": c + 1} for c in range(classes)], "annotations": annotations}
        truth.createIndex()
        results = [{"image_id": image, "category_id": int(c) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
                   for image, rows in enumerate(detections, start=1) for x1, y1, x2, y2, score, c in rows.tolist()]
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision = judge.eval["precision"][..., 0, -1]
    return judge.stats[:6], np.array([p[p > -1].mean() if (p > -1).any() else np.nan
                                      for p in (precision[:, :, c] for c in range(classes))])


def truths(labels, classes):
    return [GroundTruth.from_labels(one, SIZE, classes) for one in labels]


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4))
def test_all_figures_equal_those_of_pycocotools(seed, images, classes):
    detections, labels = random_set(seed, images, classes)
    if not sum(map(len, detections)):
        return  # pycocotools cannot evaluate zero detections; see below
    ours = evaluate_coco(detections, truths(labels, classes), classes)
    stats, per_class = pycocotools_map(detections, labels, classes)
    stats = np.where(stats == -1, np.nan, stats)
    figures = [ours.map, ours.map50, ours.map75, ours.small, ours.medium, ours.large]
    np.testing.assert_allclose(figures, stats, atol=1e-6)
    np.testing.assert_allclose(ours.per_class, per_class, atol=1e-6)


def test_more_than_a_hundred_detections_of_an_image_are_cut_as_pycocotools_cuts_them():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 300, (150, 2))
    boxes = np.concatenate((corner, corner + 40), axis=1)
    labels = [np.column_stack((np.zeros(150), (corner + 20) / SIZE, np.tile(40 / np.array(SIZE), (150, 1)),
                               np.zeros(150), np.full(150, 1600.0)))]
    detections = [np.column_stack((boxes, rng.random(150), np.zeros(150)))]
    ours = evaluate_coco(detections, truths(labels, 1), 1)
    assert ours.map == pytest.approx(pycocotools_map(detections, labels, 1)[0][0], abs=1e-6)
    assert ours.map < 1


def test_a_perfect_detector_has_1():
    _, labels = random_set(5, 6, 3)
    labels = [one[one[:, 5] == 0] for one in labels]
    known = truths(labels, 3)
    detections = [np.column_stack((t.boxes, np.full(len(t.boxes), 0.9), t.classes)) for t in known]
    ours = evaluate_coco(detections, known, 3)
    assert (ours.map, ours.map50, ours.map75) == pytest.approx((1, 1, 1))


def test_zero_detections_give_0_and_zero_labels_give_none():
    nothing = np.zeros((0, 6))
    _, labels = random_set(5, 3, 2)
    ours = evaluate_coco([nothing] * 3, truths(labels, 2), 2)
    assert (ours.map, ours.map50) == (0, 0)
    assert ours.per_class == (0, 0)
    some = np.array([[0, 0, 9, 9, 0.5, 1]])
    for detections in ([nothing, nothing], [nothing, some], []):
        empty = evaluate_coco(detections, truths([np.zeros((0, 5))] * len(detections), 2), 2)
        assert math.isnan(empty.map)
        assert all(map(math.isnan, empty.per_class50))


def test_a_class_without_labels_stays_out_of_the_mean():
    box = [10.0, 10, 50, 50]
    labels = [[[0, 30 / 640, 30 / 480, 40 / 640, 40 / 480]]]
    ours = evaluate_coco([np.array([[*box, 0.9, 0], [*box, 0.8, 1]])], truths(labels, 2), 2)
    assert ours.map == pytest.approx(1)
    assert math.isnan(ours.per_class[1])


def test_it_prints_nothing(capfd):
    detections, labels = random_set(1, 3, 2)
    evaluate_coco(detections, truths(labels, 2), 2)
    assert capfd.readouterr() == ("", "")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.split(".")[0] == "faster_coco_eval":
            raise ImportError("no such module")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(EngineError, match="pip install faster-coco-eval"):
        evaluate_coco([], [], 1)
