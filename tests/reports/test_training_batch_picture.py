"""Boxes of a batch lie where its objects are, and a grid holds every picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from utils.errors import OutputError
from utils.reports import class_colour
from utils.reports.training import draw_batch, draw_gallery, write_png


def tiles(picture, count, columns, height, width, gap=6):
    """The pixels of each tile of a grid."""
    return [picture[gap + (i // columns) * (height + gap) :, gap + (i % columns) * (width + gap) :][:height, :width]
            for i in range(count)]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_box_surrounds_the_pixels_of_its_object(channels):
    images = np.full((5, channels, 320, 400), 60, np.uint8)
    targets = []
    for index in range(5):
        left, top = 40 + 20 * index, 100 + 10 * index
        images[index, :, top : top + 80, left : left + 120] = 200
        targets.append([index, index, (left + 60) / 400, (top + 40) / 320, 120 / 400, 80 / 320])
    drawn = tiles(draw_batch(images, np.array(targets), ["a", "b", "c", "d", "e"]), 5, 4, 320, 400)
    for index, tile in enumerate(drawn):
        left, top = 40 + 20 * index, 100 + 10 * index
        is_border = (np.abs(tile.astype(int) - class_colour(index)) < 32).all(-1)  # lines are smoothed
        assert is_border[top + 10 : top + 70, left].all()
        assert is_border[top + 10 : top + 70, left + 120].all()
        assert is_border[top + 80, left + 10 : left + 110].all()
        assert (tile[top + 10 : top + 70, left + 10 : left + 110] == 200).all()
        assert (tile[top + 10 : top + 70, : left - 5] == 60).all()
        assert is_border[: top - 2].sum() > 50  # the name stands above the box, in the colour of the class


def test_images_without_boxes_stay_as_they_are_and_the_input_is_not_touched():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 320, 352), np.uint8)
    before = images.copy()
    picture = draw_batch(images, np.array([[0, 0, 0.5, 0.5, 0.2, 0.2]]))
    assert (images == before).all()
    first, second = tiles(picture, 2, 2, 320, 352)
    assert (second == images[1].transpose(1, 2, 0)).all()
    assert (first != images[0].transpose(1, 2, 0)).any()


def test_the_limit_and_the_columns_shape_the_grid():
    images = np.zeros((9, 3, 320, 320), np.uint8)
    none = np.zeros((0, 6))
    assert draw_batch(images, none, limit=6, columns=3).shape == (2 * 326 + 6, 3 * 326 + 6, 3)
    assert draw_batch(images[:2], none, columns=4).shape == (326 + 6, 2 * 326 + 6, 3)
    assert draw_batch(images, none, columns=4).shape == (3 * 326 + 6, 4 * 326 + 6, 3)


@pytest.mark.parametrize(("height", "width", "tile"), [(32, 64, (256, 512)), (320, 1280, (160, 640)),
                                                      (96, 416, (96, 416)), (1280, 1280, (640, 640))])
def test_small_images_are_enlarged_and_large_ones_shrunk_so_that_names_are_legible(height, width, tile):
    picture = draw_batch(np.zeros((1, 3, height, width), np.uint8), np.array([[0, 0, 0.5, 0.5, 0.5, 0.5]]), ["name"])
    assert picture.shape == (tile[0] + 12, tile[1] + 12, 3)


def test_pictures_of_any_size_stand_centred_and_none_is_enlarged():
    small, wide = np.full((50, 40, 3), 10, np.uint8), np.full((100, 1280, 3), 20, np.uint8)
    picture = draw_gallery([small, wide], columns=2)
    assert picture.shape == (50 + 12, 2 * 640 + 18, 3)
    first, second = tiles(picture, 2, 2, 50, 640)
    assert (first[:, 300:340] == 10).all()
    assert (first[:, :300] == 240).all()
    assert (second == 20).all()


def test_boxes_of_no_size_beyond_the_border_or_without_a_name_draw_without_trouble():
    targets = np.array([[0, 99, 2, 2, 5, 5], [0, 1, 0.5, 0.5, 0, 0], [0, 0, np.nan, 0.5, 1e30, 1], [7, 0, 0.5, 0.5, 1, 1]])
    assert draw_batch(np.zeros((1, 1, 64, 64), np.uint8), targets, ["größe"]).any()


@pytest.mark.parametrize(("images", "targets", "message"), [
    (np.zeros((1, 2, 8, 8), np.uint8), np.zeros((0, 6)), "images are"),
    (np.zeros((1, 3, 8, 8), np.float32), np.zeros((0, 6)), "images are"),
    (np.zeros((1, 3, 8, 8), np.uint8), np.zeros((2, 5)), r"targets are \(n, 6\)"),
    (np.zeros((0, 3, 8, 8), np.uint8), np.zeros((0, 6)), "no pictures"),
])
def test_arrays_of_another_shape_are_refused(images, targets, message):
    with pytest.raises(ValueError, match=message):
        draw_batch(images, targets)


def test_a_png_file_holds_the_same_pixels_red_first(tmp_path):
    picture = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    write_png(tmp_path / "a.png", picture)
    assert (cv2.imread(str(tmp_path / "a.png"))[..., ::-1] == picture).all()
    with pytest.raises(OutputError, match="cannot be written"):
        write_png(tmp_path / "no" / "a.png", picture)
    with pytest.raises(ValueError, match="a picture is"):
        write_png(tmp_path / "b.png", picture[..., 0])
