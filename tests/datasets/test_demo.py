"""The drawn data set."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pytest

from utils.darknet import read_data, read_names
from utils.datasets import SHAPES, DetectionDataset, generate
from utils.datasets.demo import draw_sample
from utils.errors import OptionError


def digest(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate(tmp_path / name, images=12, size=64, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a")["images/0000.png"] != digest(tmp_path / "c")["images/0000.png"]


def test_more_images_leave_the_first_ones_as_they_were(tmp_path):
    generate(tmp_path / "a", images=4, size=(32, 64))
    generate(tmp_path / "b", images=6, size=(32, 64))
    few, many = digest(tmp_path / "a"), digest(tmp_path / "b")
    assert all(few[name] == many[name] for name in few if name.startswith(("images", "labels")))


def test_the_set_is_one_that_our_readers_read(tmp_path):
    data = read_data(generate(tmp_path / "demo", images=50, size=(48, 80), valid_share=0.3))
    names = read_names(data.names)
    assert names == ("circle", "square", "triangle")
    assert data.classes == 3
    train, valid = (DetectionDataset.read(part, names) for part in (data.train, data.valid))
    assert (len(train), len(valid)) == (35, 15)
    labels = train.labels + valid.labels
    assert sum(not len(one) for one in labels) == 5, "one image in ten is background"
    assert set(np.concatenate(labels)[:, 0]) == {0, 1, 2}
    for sample in valid:
        assert all(48 <= side <= 80 for side in sample.size)
        edges = np.concatenate((sample.labels[:, 1:3] - sample.labels[:, 3:5] / 2,
                                sample.labels[:, 1:3] + sample.labels[:, 3:5] / 2), axis=1)
        assert (edges >= -1e-6).all()
        assert (edges <= 1 + 1e-6).all()
        assert (sample.labels[:, 3:5] * sample.size >= 8).all(), "nothing too small to be seen"


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_box_is_tight_around_what_was_painted(shape):
    found = 0
    for seed in range(12):
        image, labels = draw_sample(np.random.default_rng(seed), 90, 90, [shape])
        blank, _ = draw_sample(np.random.default_rng(seed), 90, 90, [shape], empty=True)  # same stream, same background
        painted = (image != blank).any(axis=2)
        if len(labels) != 1:
            continue
        found += 1
        _, x, y, w, h = labels[0] * 90
        rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
        np.testing.assert_allclose((columns[0], columns[-1] + 1, rows[0], rows[-1] + 1),
                                   (x - w / 2, x + w / 2, y - h / 2, y + h / 2), atol=1.01)
    assert found


def test_two_hundred_images_take_a_few_seconds(tmp_path):
    start = time.process_time()
    generate(tmp_path, images=100)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(("options", "message"), [
    ({"images": 1}, "images: 1 cannot be split into train and valid; draw 2 or more"),
    ({"size": 31}, "size: 31 to 31 pixels cannot be drawn; give 32 or more, the smaller one first"),
    ({"size": (64, 32)}, "size: 64 to 32 pixels cannot be drawn; give 32 or more, the smaller one first"),
    ({"classes": ["blob"]}, "classes: there is no shape 'blob'; choose from circle, square, triangle, star, cross, hexagon"),
    ({"classes": []}, "classes: name each shape once, and at least one; choose from circle, square, triangle, star, cross, "
                      "hexagon"),
    ({"valid_share": 1.0}, "valid share: 1.0 is not between 0 and 1; give for example 0.2"),
])
def test_what_cannot_be_drawn_is_refused(tmp_path, options, message):
    with pytest.raises(OptionError) as caught:
        generate(tmp_path / "demo", **options)
    assert str(caught.value) == message
    assert not (tmp_path / "demo").exists()
