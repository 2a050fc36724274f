"""Boxes from the network's input to the image and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.datasets import Geometry, letterbox_darknet, prepare, resize_darknet
from utils.errors import DataError

sides = st.integers(2, 5000)
nets = st.sampled_from([(416, 416), (608, 608), (512, 288), (96, 160), (37, 53)])
geometries = st.builds(lambda w, h, net, box: Geometry(w, h, *net, box), sides, sides, nets, st.booleans())
unit = st.floats(0, 1, allow_nan=False, width=32)


@given(geometries, st.lists(st.tuples(unit, unit, unit, unit), max_size=5))
def test_to_the_net_and_back_is_where_the_boxes_were(geometry, boxes):
    scale = np.array([geometry.image_width, geometry.image_height] * 2, dtype=np.float64)
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4) * scale
    np.testing.assert_allclose(geometry.to_image(geometry.to_net(boxes)), boxes, atol=1e-6 * scale.max())


@given(geometries)
def test_the_corners_of_the_image_are_the_corners_of_the_picture_in_the_net(geometry):
    whole = np.array([[0, 0, geometry.image_width, geometry.image_height]], dtype=np.float64)
    (left, top), (width, height) = geometry.offset, geometry.picture_size
    np.testing.assert_allclose(geometry.to_net(whole), [[left, top, left + width, top + height]], atol=1e-9)
    assert left * 2 + width == geometry.net_width
    assert top * 2 + height == geometry.net_height


@given(geometries, st.lists(st.tuples(unit, unit, unit, unit), max_size=5))
def test_labels_and_boxes_travel_the_same_way(geometry, rows):
    labels = np.array([(1, *row) for row in rows], dtype=np.float64).reshape(-1, 5)
    centre, half = labels[:, 1:3], labels[:, 3:5] / 2
    corners = np.concatenate((centre - half, centre + half), axis=1)
    image = np.array([geometry.image_width, geometry.image_height] * 2)
    net = np.array([geometry.net_width, geometry.net_height] * 2)
    moved = geometry.labels_to_net(labels).astype(np.float64)
    centre, half = moved[:, 1:3], moved[:, 3:5] / 2
    np.testing.assert_allclose(np.concatenate((centre - half, centre + half), axis=1) * net,
                               geometry.to_net(corners * image), atol=1e-3)
    assert (moved[:, 0] == 1).all()


def correct_yolo_boxes(x, y, w, h, image_w, image_h, net_w, net_h, letter):
    """AlexeyAB/darknet, yolo_layer.c, correct_yolo_boxes, relative boxes, as it is written there."""
    if letter:
        if np.float32(net_w) / image_w < np.float32(net_h) / image_h:
            new_w, new_h = net_w, (image_h * net_w) // image_w
        else:
            new_h, new_w = net_h, (image_w * net_h) // image_h
    else:
        new_w, new_h = net_w, net_h
    delta_w, delta_h, ratio_w, ratio_h = net_w - new_w, net_h - new_h, new_w / net_w, new_h / net_h
    return (x - delta_w / 2 / net_w) / ratio_w, (y - delta_h / 2 / net_h) / ratio_h, w / ratio_w, h / ratio_h


@given(st.integers(20, 4000), st.integers(20, 4000), nets, st.booleans(), unit, unit, unit, unit)
def test_the_way_back_is_that_of_correct_yolo_boxes(image_w, image_h, net, letter, x, y, w, h):
    if max(image_w, image_h) > 30 * min(image_w, image_h):
        return  # Darknet computes a picture 0 pixels wide
    net_w, net_h = net
    a, b, c, d = correct_yolo_boxes(x, y, w, h, image_w, image_h, net_w, net_h, letter)
    wanted = np.array([(a - c / 2) * image_w, (b - d / 2) * image_h, (a + c / 2) * image_w, (b + d / 2) * image_h])
    box = np.array([[(x - w / 2) * net_w, (y - h / 2) * net_h, (x + w / 2) * net_w, (y + h / 2) * net_h]])
    np.testing.assert_allclose(Geometry(image_w, image_h, net_w, net_h, letter).to_image(box)[0], wanted,
                               rtol=1e-5, atol=1e-5 * max(image_w, image_h))


def test_a_square_that_is_painted_is_found_where_the_geometry_says():
    image = np.zeros((120, 200, 3), np.uint8)
    image[30:60, 100:150] = 255
    for letterbox in (False, True):
        array, geometry = prepare(image, (160, 160), letterbox)
        x1, y1, x2, y2 = geometry.to_net(np.array([[100.0, 30.0, 150.0, 60.0]]))[0]
        inside = array[:, round(y1) + 2 : round(y2) - 2, round(x1) + 2 : round(x2) - 2]
        assert (inside == 1).all()
        ys, xs = np.nonzero(array[0] > 0.6)
        np.testing.assert_allclose((xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), (x1, y1, x2, y2), atol=1.6)


def test_prepare_is_darknets_resize_or_letterbox_of_the_planes():
    image = np.random.default_rng(3).integers(0, 256, (24, 37, 3), dtype=np.uint8)
    planes = (image.astype(np.float64) / 255).astype(np.float32).transpose(2, 0, 1)
    np.testing.assert_array_equal(prepare(image, (32, 48))[0], resize_darknet(planes, 48, 32))
    np.testing.assert_array_equal(prepare(image, (32, 48), True)[0], letterbox_darknet(planes, 48, 32))


def test_a_grey_network_sees_stb_images_luminance():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    array, _ = prepare(image, (1, 4), channels=1)
    assert (array * 255).round().astype(int).tolist() == [[[255 * 77 // 256, 255 * 150 // 256, 255 * 29 // 256, 255]]]


def test_boxes_keep_their_precision():
    geometry = Geometry(100, 50, 32, 32, True)
    assert geometry.to_image(np.zeros((1, 4), np.float32)).dtype == np.float32
    assert geometry.to_image(np.zeros((1, 4))).dtype == np.float64
    assert geometry.to_image(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Geometry(0, 5, 32, 32), "image: 0x5 pixels cannot be brought to 32x32; give sizes of 1 or more"),
    (lambda: prepare(np.zeros((4, 4), np.uint8), (32, 32)),
     "image: is an array (4, 4) of uint8; give (H, W, 3) uint8, RGB"),
    (lambda: prepare(np.zeros((4, 4, 3), np.float32), (32, 32)),
     "image: is an array (4, 4, 3) of float32; give (H, W, 3) uint8, RGB"),
    (lambda: prepare(np.zeros((4, 4, 3), np.uint8), (32, 32), channels=4),
     "image: cannot be given to a network of 4 channels; use channels=3 or 1 in [net]"),
])
def test_what_makes_no_sense_is_refused(call, message):
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == message
