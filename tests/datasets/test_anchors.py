"""Anchors by clustering."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shared import SHARED, needs_shared
from utils.datasets import DetectionDataset, anchor_fit, box_sizes, box_sizes_in, find_anchors
from utils.datasets.anchors import shape_iou
from utils.errors import DataError


def test_separate_heaps_are_found():
    random = np.random.default_rng(0)
    middles = np.array([(0.05, 0.05), (0.1, 0.4), (0.5, 0.2), (0.8, 0.9)])
    sizes = np.concatenate([middle * random.normal(1, 0.03, (60, 2)) for middle in middles])
    found = find_anchors(sizes, 4, (416, 320))
    np.testing.assert_allclose(found.anchors, middles * (416, 320), rtol=0.03)
    assert found.recall == 1
    assert found.mean_iou > 0.93
    assert found.boxes == 240


def test_one_anchor_is_the_median_size():
    sizes = np.random.default_rng(1).uniform(0.01, 1, (50, 2))
    np.testing.assert_allclose(find_anchors(sizes, 1, (100, 100)).anchors, [np.median(sizes, axis=0) * 100])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=3, max_size=60), st.integers(1, 4),
       st.integers(0, 5))
def test_anchors_are_sorted_by_area_lie_among_the_boxes_and_depend_on_the_seed_alone(pixels, k, seed):
    sizes = np.array(pixels) / 50
    if len(set(pixels)) < k:
        with pytest.raises(DataError, match=f"different sizes, too few for {k} anchors"):
            find_anchors(sizes, k, (416, 416), seed=seed)
        return
    found = find_anchors(sizes, k, (416, 416), seed=seed)
    assert found.anchors.shape == (k, 2)
    assert (np.diff(found.anchors.prod(axis=1)) >= 0).all()
    assert (found.anchors >= sizes.min(axis=0) * 416 - 1e-9).all()
    assert (found.anchors <= sizes.max(axis=0) * 416 + 1e-9).all()
    assert 0 < found.mean_iou <= 1 + 1e-12
    np.testing.assert_array_equal(found.anchors, find_anchors(sizes, k, (416, 416), seed=seed).anchors)


def test_as_many_anchors_as_sizes_fit_perfectly():
    sizes = np.array([(0.1, 0.1), (0.2, 0.5), (0.9, 0.3), (0.2, 0.5)])
    found = find_anchors(sizes, 3, (200, 100))
    assert found.mean_iou == pytest.approx(1)
    np.testing.assert_allclose(found.anchors, [(20, 10), (40, 50), (180, 30)])


def test_the_iou_of_shapes_is_that_of_boxes_with_one_centre():
    boxes, anchors = np.array([(4.0, 2.0), (1.0, 1.0)]), np.array([(2.0, 4.0), (4.0, 2.0)])
    np.testing.assert_allclose(shape_iou(boxes, anchors), [[4 / 12, 1], [1 / 8, 1 / 8]])
    assert anchor_fit(boxes, anchors, 0.5) == (pytest.approx((1 + 1 / 8) / 2), 0.5)


@needs_shared
def test_on_real_boxes_they_fit_better_than_the_published_anchors_of_yolov3():
    dataset = DetectionDataset.read(SHARED / "datasets" / "coco128-train2017" / "train.txt", 80)
    sizes = box_sizes(dataset.labels)
    assert sizes.shape == (929, 2)
    published = np.array([(10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326)])
    ours = find_anchors(sizes, 9, (416, 416))
    mean_iou, recall = anchor_fit(sizes * 416, published)
    assert ours.mean_iou > mean_iou + 0.015
    assert ours.recall > recall
    again = find_anchors(sizes, 9, (416, 416), seed=1)
    assert abs(ours.mean_iou - again.mean_iou) < 0.01, "another seed ends nearly as good"


@pytest.mark.parametrize(("sizes", "k", "message"), [
    (np.zeros((0, 2)), 3, "boxes: have 0 different sizes, too few for 3 anchors; label more images or ask for fewer "
                          "anchors"),
    ([[0.5, 0.5]] * 9, 2, "boxes: have 1 different sizes, too few for 2 anchors; label more images or ask for fewer "
                          "anchors"),
    ([[0.5, 0.0]], 1, "boxes: have a width or height outside (0, 1]; give sizes relative to the image"),
    ([[50, 20]], 1, "boxes: have a width or height outside (0, 1]; give sizes relative to the image"),
])
def test_boxes_that_cannot_give_anchors_are_refused(sizes, k, message):
    with pytest.raises(DataError) as caught:
        find_anchors(sizes, k, (416, 416))
    assert str(caught.value) == message


def test_very_many_boxes_are_searched_in_a_sample_and_measured_in_full():
    sizes = np.random.default_rng(0).uniform(0.01, 1, (50_000, 2))
    found = find_anchors(sizes, 3, (100, 100))
    assert found.boxes == 50_000
    assert (found.mean_iou, found.recall) == anchor_fit(sizes * 100, found.anchors)


def test_labels_without_boxes_give_no_sizes():
    assert box_sizes([np.zeros((0, 5)), np.zeros((0, 5))]).shape == (0, 2)
    assert box_sizes([np.array([[1, 0.5, 0.5, 0.25, 0.75, 1, 9]]), np.zeros((0, 5))]).tolist() == [[0.25, 0.75]]


def test_a_letterbox_shrinks_the_boxes_of_a_wide_image_and_stretching_does_not():
    """An image of 200x100 fills 100x50 of a 100x100 input, so half the height."""
    labels, images = [np.array([[0, 0.5, 0.5, 0.4, 0.6]])], np.array([[200, 100]])
    np.testing.assert_allclose(box_sizes_in((100, 100), labels, images, letterbox=True), [[0.4, 0.3]])
    np.testing.assert_allclose(box_sizes_in((100, 100), labels, images, letterbox=False), [[0.4, 0.6]])
