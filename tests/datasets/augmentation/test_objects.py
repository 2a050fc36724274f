"""Whatever happens to an image, its boxes stay on their objects; the pixels are the truth."""

from __future__ import annotations

import numpy as np
import pytest

from tests.datasets.coloured import assert_boxes_fit, draw
from utils.datasets.augmentation import (
    AugmentationOptions,
    Canvas,
    augment,
    fit,
    flip_left_right,
    flip_up_down,
    lone_canvas,
    mosaic_canvas,
    to_pixels,
    to_relative,
)

NONE = {"hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "degrees": 0, "translate": 0, "scale": 0, "shear": 0,
        "flip_left_right": 0, "mosaic": 0}
STEPS = {
    "nothing": {},
    "turned": {"degrees": 8},
    "moved": {"translate": 0.2},
    "scaled": {"scale": 0.4},
    "sheared": {"shear": 6},
    "mirrored": {"flip_left_right": 0.5, "flip_up_down": 0.5},
    "all a little": {"degrees": 1.113, "translate": 0.06797, "scale": 0.1059, "shear": 0.5768, "flip_left_right": 0.5},
}
SIZES = [(96, 96), (128, 160), (97, 63)]


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", STEPS)
def test_the_boxes_of_a_lone_image(step, size, letterbox):
    options = AugmentationOptions(**{**NONE, **STEPS[step]})
    for seed in range(6):
        random = np.random.default_rng(seed)
        image, labels = draw(random, *random.integers(60, 200, 2).tolist(), [seed % 6, (seed + 1) % 6])
        canvas = lone_canvas(fit(image, size[1], size[0], letterbox), labels, size)
        changed, boxes = augment(canvas, options, size, random)
        assert changed.shape == (*size, 3)
        # the upright box of a turned object that the border cuts is larger than what is left to see
        assert_boxes_fit(changed, to_relative(boxes, size[1], size[0]), 8 if step in ("turned", "sheared") else 2)
        if step in ("nothing", "mirrored"):
            assert len(boxes) == len(labels)


@pytest.mark.parametrize(("step", "within"), [("turned", 1.2), ("sheared", 1.2), ("scaled", 1.2), ("moved", 1.0)])
def test_an_object_that_is_wholly_in_the_picture_has_a_tight_box(step, within):
    options = AugmentationOptions(**{**NONE, **STEPS[step]})
    image = np.zeros((160, 160, 3), dtype=np.uint8)
    image[64:88, 56:104, 0] = 255
    labels = np.array([(0, 80 / 160, 76 / 160, 48 / 160, 24 / 160)], dtype=np.float32)
    differences = []
    for seed in range(25):
        changed, boxes = augment(lone_canvas(image, labels, (160, 160)), options, (160, 160), np.random.default_rng(seed))
        assert_boxes_fit(changed, to_relative(boxes, 160, 160), within)
        seen = changed[..., 0] >= 128
        seen[changed[..., 1] >= 100] = False
        columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
        differences.append(boxes[0, 1:] - (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    middle = np.mean(differences, axis=0)
    assert np.abs(middle[:2] + middle[2:]).max() < 0.25, f"boxes lie beside their objects by {middle}"


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_the_boxes_of_a_mosaic(size, letterbox, literal):
    options = AugmentationOptions(hsv_h=0, hsv_s=0, hsv_v=0, literal_mosaic=literal)
    numbers = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        tiles = []
        for classes in ([0, 1], [2], [3, 4], [5]):
            image, labels = draw(random, *random.integers(60, 200, 2).tolist(), classes)
            tiles.append((fit(image, size[1], size[0], letterbox), labels))
        canvas = mosaic_canvas(tiles, size, random)
        assert canvas.image.shape == (2 * size[0], 2 * size[1], 3)
        changed, boxes = augment(canvas, options, size, random)
        assert changed.shape == (*size, 3)
        assert_boxes_fit(changed, to_relative(boxes, size[1], size[0]), 3, 0.055)
        numbers.append(len(boxes))
    assert 1 < np.mean(numbers) < 6


def test_a_mosaic_of_full_tiles_leaves_no_grey_in_its_middle():
    tiles = [(np.full((64, 96, 3), value, dtype=np.uint8), np.zeros((0, 5), dtype=np.float32)) for value in (1, 2, 3, 4)]
    for seed in range(50):
        random = np.random.default_rng(seed)
        canvas = mosaic_canvas(tiles, (64, 96), random)
        middle = canvas.image[32:96, 48:144]
        assert middle.max() <= 4
        corners = middle[0, 0, 0], middle[0, -1, 0], middle[-1, 0, 0], middle[-1, -1, 0]
        assert all(one in (1, 2, 3, 4) for one in corners)
        taken, _ = augment(canvas, AugmentationOptions(**{**NONE, "mosaic": 1}), (64, 96), random)
        np.testing.assert_array_equal(taken, middle)


def test_the_four_corners_of_a_mosaic_are_its_four_images_and_the_point_is_uniform():
    tiles = [(np.full((40, 40, 3), value, dtype=np.uint8), np.zeros((0, 5), dtype=np.float32)) for value in (1, 2, 3, 4)]
    random = np.random.default_rng(0)
    places = []
    for _ in range(600):
        image = mosaic_canvas(tiles, (40, 40), random).image[..., 0]
        y, x = np.argwhere(image == 4)[0]
        assert [image[y - 1, x - 1], image[y - 1, x], image[y, x - 1]] == [1, 2, 3]
        places.append((x, y))
    assert np.min(places) == 20
    assert np.max(places) == 60
    np.testing.assert_allclose(np.mean(places, axis=0), 40, atol=2)
    np.testing.assert_allclose(np.std(places, axis=0), np.sqrt((41**2 - 1) / 12), atol=1)


def test_mirroring_twice_changes_nothing_and_inputs_stay_as_they_were():
    image, labels = draw(np.random.default_rng(1), 90, 70, [1, 4])
    pixels = to_pixels(labels, 90, 70)
    before = image.copy(), pixels.copy()
    for flip in (flip_left_right, flip_up_down):
        once = flip(image, pixels)
        assert not np.array_equal(once[0], image)
        assert_boxes_fit(once[0], to_relative(once[1], 90, 70), 0.01)
        twice = flip(*once)
        np.testing.assert_array_equal(twice[0], image)
        np.testing.assert_allclose(twice[1], pixels, atol=1e-5)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(pixels, before[1])


def test_a_background_stays_without_boxes():
    empty = np.zeros((0, 5), dtype=np.float32)
    tile = np.zeros((64, 64, 3), dtype=np.uint8), empty
    for canvas in (lone_canvas(*tile, (64, 64)), mosaic_canvas([tile] * 4, (64, 64), np.random.default_rng(0))):
        _, boxes = augment(canvas, AugmentationOptions(), (64, 64), np.random.default_rng(0))
        assert boxes.shape == (0, 5)
        assert boxes.dtype == np.float32


@pytest.mark.parametrize(("reach", "kept"), [(33, True), (27, False)])
def test_an_object_of_which_less_than_a_tenth_is_left_counts_as_gone(reach, kept):
    tile = np.zeros((400, 400, 3), dtype=np.uint8), np.array([(0, 0.5, 0.5, 0.75, 0.75)], dtype=np.float32)  # 300 x 300
    canvas = lone_canvas(*tile, (400, 400))
    wide = Canvas(np.pad(canvas.image, ((0, 0), (350 - reach, 350 - reach), (0, 0))), canvas.labels, canvas.whole)
    # the object is at 50 to 350 of the padded canvas, and the middle that is taken begins at 350 - reach
    _, boxes = augment(wide, AugmentationOptions(**NONE), (400, 400), np.random.default_rng(0))
    assert len(boxes) == kept
