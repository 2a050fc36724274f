"""Training samples."""

from __future__ import annotations

import numpy as np
import pytest

from tests.datasets.coloured import assert_boxes_fit, write
from utils.datasets import AugmentationOptions, DetectionDataset, ImageCache, TrainingDataset, load_image, scan_images
from utils.datasets.images import grey_image
from utils.errors import DataError, OptionError

NONE = AugmentationOptions.none()
COLOURS_KEPT = AugmentationOptions(hsv_h=0, hsv_s=0, hsv_v=0)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    shapes = [(90, 60), (60, 100), (80, 80), (120, 70), (64, 64), (70, 110), (100, 100), (75, 75)]
    return scan_images(write(tmp_path_factory.mktemp("set"), shapes, backgrounds=(3, 6)), 6)


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("size", [(96, 96), (64, 128)])
def test_without_augmentation_a_sample_is_what_an_evaluation_sees(scan, size, letterbox):
    dataset = TrainingDataset(scan, NONE, letterbox=letterbox)
    (batch,) = DetectionDataset(scan.paths, scan.labels).batches(8, size, letterbox, 0, method="cv2")
    for i, (wanted, labels) in enumerate(zip(batch.images, batch.net_labels(), strict=True)):
        image, found = dataset.sample(i, 0, 0, size)
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert np.abs(image / 255 - wanted).max() < 0.01
        np.testing.assert_allclose(found, labels, atol=0.5 / 64)


@pytest.mark.parametrize("letterbox", [False, True])
@pytest.mark.parametrize("mosaic", [False, True])
@pytest.mark.parametrize("size", [(96, 96), (64, 96), (160, 128)])
def test_boxes_lie_on_their_objects(scan, size, mosaic, letterbox):
    dataset = TrainingDataset(scan, COLOURS_KEPT, letterbox=letterbox)
    for position in range(8):
        image, labels = dataset.sample(position, position, 1, size, mosaic)
        assert image.shape == (3, *size)
        assert labels.dtype == np.float32
        assert_boxes_fit(image.transpose(1, 2, 0), labels, 3, 0.055)


def test_a_sample_depends_on_seed_epoch_and_position_alone(scan):
    dataset = TrainingDataset(scan, AugmentationOptions(), seed=3)
    again = TrainingDataset(scan, AugmentationOptions(), seed=3)
    for i in range(4):  # another history of calls
        again.sample(i, 9, 9, (64, 64))
    image, labels = dataset.sample(1, 5, 2, (64, 64))
    same = again.sample(1, 5, 2, (64, 64))
    np.testing.assert_array_equal(image, same[0])
    np.testing.assert_array_equal(labels, same[1])
    others = [dataset.sample(1, 6, 2, (64, 64)), dataset.sample(1, 5, 3, (64, 64)), dataset.sample(2, 5, 2, (64, 64)),
              TrainingDataset(scan, AugmentationOptions(), seed=4).sample(1, 5, 2, (64, 64))]
    assert not any(np.array_equal(image, other[0]) for other in others)


def test_cached_images_give_the_same_samples_and_are_never_changed(scan):
    cache = ImageCache.filled(scan, (96, 96))
    plain, cached = (TrainingDataset(scan, AugmentationOptions(), cache=one) for one in (None, cache))
    before = [cache.get(i).copy() for i in range(len(scan))]
    labels = [one.copy() for one in scan.labels]
    for position in range(16):
        for mosaic in (False, True):
            wanted, found = (one.sample(position % 8, position, 0, (96, 96), mosaic) for one in (plain, cached))
            np.testing.assert_array_equal(wanted[0], found[0])
            np.testing.assert_array_equal(wanted[1], found[1])
    assert all(np.array_equal(cache.get(i), one) for i, one in enumerate(before))
    assert all(map(np.array_equal, scan.labels, labels))
    TrainingDataset(scan, NONE, cache=cache).sample(4, 0, 0, (64, 64))[0][:] = 7  # of the network's size already
    assert np.array_equal(cache.get(4), before[4])


def test_with_a_full_cache_no_file_is_read_any_more(tmp_path):
    kept = scan_images(write(tmp_path, [(60, 60), (64, 64)]), 6)
    dataset = TrainingDataset(kept, NONE, cache=ImageCache.filled(kept, (64, 64)), strict=True)
    for path in kept.paths:
        path.unlink()
    assert dataset.sample(1, 0, 0, (64, 64))[0].any()


def test_the_share_of_mosaics_is_what_the_options_say(scan):
    dataset = TrainingDataset(scan, AugmentationOptions(**{**{name: 0 for name in (
        "hsv_h", "hsv_s", "hsv_v", "degrees", "translate", "scale", "shear", "flip_left_right")}, "mosaic": 0.3}))
    alone = dataset.sample(2, 0, 0, (64, 64), False)[0]
    share = np.mean([not np.array_equal(dataset.sample(2, i, 0, (64, 64))[0], alone) for i in range(300)])
    assert 0.22 < share < 0.38


def test_the_partners_of_a_mosaic_come_from_all_images(scan):
    dataset = TrainingDataset(scan, AugmentationOptions(hsv_h=0, hsv_s=0, hsv_v=0))
    found = {int(c) for i in range(60) for c in dataset.sample(3, i, 0, (96, 96))[1][:, 0]}  # 3 has no object itself
    assert found == {0, 1, 2, 3, 4, 5}


def test_backgrounds_are_samples_without_labels(scan):
    image, labels = TrainingDataset(scan, AugmentationOptions()).sample(3, 0, 0, (64, 64), False)
    assert image.shape == (3, 64, 64)
    assert labels.shape == (0, 5)


def test_a_grey_network_sees_grey(scan):
    colour, grey = (TrainingDataset(scan, NONE, channels=channels).sample(0, 0, 0, (64, 64))[0] for channels in (3, 1))
    assert grey.shape == (1, 64, 64)
    np.testing.assert_array_equal(grey[0], grey_image(colour.transpose(1, 2, 0)))


def test_an_image_that_cannot_be_read_becomes_grey_or_stops(tmp_path):
    broken = scan_images(write(tmp_path, [(60, 60), (64, 64)]), 6)
    broken.paths[0].write_bytes(b"nonsense")
    dataset = TrainingDataset(broken, NONE)
    image, labels = dataset.sample(0, 0, 0, (64, 64))
    assert (image == 128).all()
    assert labels.shape == (0, 5)
    assert list(dataset.failures) == [0]
    assert "0.png: is no image" in str(dataset.failures[0])
    with pytest.raises(DataError, match=r"0.png: is no image"):
        TrainingDataset(broken, NONE, strict=True).sample(0, 0, 0, (64, 64))
    np.testing.assert_array_equal(dataset.sample(1, 0, 0, (64, 64))[0].transpose(1, 2, 0), load_image(broken.paths[1]))


def test_a_list_without_any_label_cannot_be_trained_on(tmp_path):
    source = write(tmp_path, [(30, 30)] * 3, backgrounds=(0, 1, 2))
    with pytest.raises(DataError) as caught:
        TrainingDataset(scan_images(source, 6), NONE)
    assert str(caught.value) == (f"{source}: there are no labels at all beside its 3 images; put label files where Darknet "
                                 "looks for them: .../images/a.jpg has .../labels/a.txt")


@pytest.mark.parametrize(("options", "message"), [
    ({"channels": 4}, "channels: 4 cannot be made of an image"), ({"seed": -1}, "seed: -1 is negative")])
def test_what_makes_no_sense_is_refused(scan, options, message):
    with pytest.raises(OptionError, match=message):
        TrainingDataset(scan, NONE, **options)
