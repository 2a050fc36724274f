"""The data set that evaluations and trainings iterate over."""

from __future__ import annotations

import logging
import threading

import cv2
import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.datasets import DetectionDataset, Geometry, generate, load_image, prepare, read_coco
from utils.errors import DataError


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("demo"), images=12, size=(40, 70)).parent


def test_a_sample_is_the_file_and_its_labels(demo):
    dataset = DetectionDataset.read(demo / "train.txt", ["circle", "square", "triangle"])
    assert len(dataset) == 10
    sample = dataset[4]
    assert sample.index == 4
    assert sample.path == demo / "images" / "0004.png"
    np.testing.assert_array_equal(sample.image, cv2.imread(str(sample.path))[..., ::-1])
    assert sample.size == (sample.image.shape[1], sample.image.shape[0])
    assert len(sample.labels) == len((demo / "labels" / "0004.txt").read_text().splitlines())
    assert dataset[-1].index == 9
    assert [one.index for one in dataset] == list(range(10))


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("letterbox", [False, True])
def test_batches_hold_every_image_once_in_order_prepared(demo, workers, letterbox):
    dataset = DetectionDataset.read(demo / "train.txt", 3)
    batches = list(dataset.batches(4, (32, 48), letterbox, workers))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert [i for batch in batches for i in batch.indices] == list(range(10))
    for batch in batches:
        assert batch.images.shape == (len(batch), 3, 32, 48)
        assert batch.images.dtype == np.float32
        for path, array, labels, geometry in zip(batch.paths, batch.images, batch.labels, batch.geometries, strict=True):
            image = load_image(path)
            np.testing.assert_array_equal(array, prepare(image, (32, 48), letterbox)[0])
            assert geometry == Geometry(image.shape[1], image.shape[0], 48, 32, letterbox)
            assert labels is dataset.labels[dataset.paths.index(path)]


def test_labels_follow_the_image_into_the_letterbox(demo):
    dataset = DetectionDataset.read(demo / "train.txt", 3)
    (batch,) = dataset.batches(10, (64, 64), True, 0)
    for moved, labels, geometry in zip(batch.net_labels(), batch.labels, batch.geometries, strict=True):
        np.testing.assert_array_equal(moved, geometry.labels_to_net(labels))
    (stretched,) = dataset.batches(10, (64, 64), False, 0)
    for moved, labels in zip(stretched.net_labels(), stretched.labels, strict=True):
        np.testing.assert_allclose(moved, labels, atol=1e-6)


def test_a_broken_image_is_raised_when_its_batch_is_due_and_no_thread_stays(demo, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"nonsense")
    paths = [demo / "images" / f"000{i}.png" for i in range(4)] + [tmp_path / "bad.jpg"]
    dataset = DetectionDataset(paths, [np.zeros((0, 5))] * 5)
    batches = dataset.batches(2, (32, 32))
    assert len(next(batches)) == 2
    assert len(next(batches)) == 2
    with pytest.raises(DataError, match=r"bad.jpg: is no image that OpenCV can decode"):
        next(batches)
    del batches
    for thread in threading.enumerate():
        if thread.name.startswith("images"):
            thread.join(5)
            assert not thread.is_alive()


def test_who_stops_early_leaves_no_threads(demo):
    batches = DetectionDataset.read(demo / "train.txt", 3).batches(1, (32, 32), workers=3)
    next(batches)
    batches.close()
    for thread in threading.enumerate():
        if thread.name.startswith("images"):
            thread.join(5)
            assert not thread.is_alive()


def test_problems_of_lists_and_labels_are_raised_or_collected(demo, tmp_path):
    (tmp_path / "list.txt").write_text(f"{demo}/images/0001.png\nno.png\n{demo}/images/0002.png\n")
    with pytest.raises(DataError, match="no.png"):
        DetectionDataset.read(tmp_path / "list.txt", 3)
    problems = []
    assert len(DetectionDataset.read(tmp_path / "list.txt", 0, problems=problems)) == 2
    assert [str(problem.where).rsplit("/", 1)[1] for problem in problems][:2] == ["list.txt:2", "0001.txt:1"]
    assert "is too large" in str(problems[1])


def test_a_set_where_no_image_has_a_label_file_is_worth_a_warning(demo, tmp_path, caplog):
    (tmp_path / "a.png").write_bytes((demo / "images" / "0001.png").read_bytes())
    with caplog.at_level(logging.WARNING):
        dataset = DetectionDataset.read(tmp_path, 3)
    assert dataset.labels[0].shape == (0, 5)
    assert caplog.messages == [f"{tmp_path}: no image has a label file, so all count as background; the first one would "
                               f"be {tmp_path}/a.txt"]


@pytest.mark.parametrize("workers", [0, 2])
def test_rectangular_batches_hold_every_image_once_at_its_full_length(demo, workers):
    dataset = DetectionDataset.read(demo / "train.txt", 3)
    batches = list(dataset.rect_batches(3, 64, workers=workers))
    assert sorted(i for batch in batches for i in batch.indices) == list(range(10))
    assert [len(batch) for batch in batches] == [3, 3, 3, 1]
    aspects = []
    for batch in batches:
        height, width = batch.images.shape[2:]
        assert height % 32 == width % 32 == 0
        assert max(height, width) == 64
        for i, array, geometry, labels in zip(batch.indices, batch.images, batch.geometries, batch.labels, strict=True):
            image = load_image(dataset.paths[i])
            aspects.append(image.shape[1] / image.shape[0])
            np.testing.assert_array_equal(array, prepare(image, (height, width), True)[0])
            assert max(geometry.picture_size) == 64
            assert labels is dataset.labels[i]
    assert aspects == sorted(aspects)
    assert dataset.sizes().tolist() == [list(sample.size) for sample in dataset]


def test_a_data_set_without_images_has_no_rectangular_batches():
    assert list(DetectionDataset([], []).rect_batches(4, 64)) == []


@pytest.mark.parametrize("world", [1, 3, 4])
def test_the_shares_of_all_processes_are_the_data_set(demo, world):
    dataset = DetectionDataset.read(demo / "train.txt", ["circle", "square", "triangle"])
    dataset.sizes()
    shares = [dataset.share(rank, world) for rank in range(world)]
    assert sorted(i for share in shares for i in share.originals) == list(range(10))
    for share in shares:
        assert share.names == dataset.names
        assert share.paths == tuple(dataset.paths[i] for i in share.originals)
        assert all(np.array_equal(one, dataset.labels[i]) for one, i in zip(share.labels, share.originals, strict=True))
        assert share.sizes().tolist() == [list(dataset[i].size) for i in share.originals]
    again = shares[0].share(1, 2)
    assert list(again.originals) == list(shares[0].originals)[1::2]
    assert list(dataset.originals) == list(range(10))


@pytest.mark.parametrize(("labels", "message"), [
    ([], "data set: has 1 images but labels of 0; give one array each"),
    ([np.ones((2, 4))], "a.png: has labels of the shape (2, 4); give rows `class xc yc w h [ignored [area]]`"),
])
def test_labels_must_fit_the_images(labels, message):
    with pytest.raises(DataError) as caught:
        DetectionDataset(["a.png"], labels)
    assert str(caught.value) == message


@needs_shared
def test_annotations_become_ground_truth_with_crowds_and_areas():
    folder = SHARED / "datasets" / "coco128-train2017"
    dataset = DetectionDataset.of(read_coco(folder / "instances_with_crowd.json", folder / "images", crowd="keep"))
    rows = np.concatenate([labels for labels in dataset.labels if len(labels)])
    assert rows.shape == (935, 7)
    assert rows[:, 5].sum() == 6
    assert len(dataset.names) == 80
