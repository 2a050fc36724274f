"""Agreement without labels: a network agrees with itself, less with another, and there is none where nothing was found."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from utils.darknet import parse_network
from utils.training import agreement, detections_as_labels

NETWORK = parse_network("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=7\nsize=1\nstride=8\n"
                        "activation=linear\n[yolo]\nmask=0\nanchors=12,12\nclasses=2\nnum=1\n")


class Engine:
    """Finds one object in one cell of each image, `surely` or not, of the given class."""

    name = "planted"

    def __init__(self, cell: int, class_id: int, surely: bool = True) -> None:
        head = np.full((1, 7, 4, 4), -9, np.float32)
        head[:, :4] = 0
        head[0, 4, cell, cell] = head[0, 5 + class_id, cell, cell] = 6 if surely else -9
        self._head = head

    def heads(self, x: np.ndarray) -> list[np.ndarray]:
        return [np.repeat(self._head, len(x), axis=0)]


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / f"{i}.png" for i in range(2)]
    for path in found:
        cv2.imwrite(str(path), np.full((64, 96, 3), 90, np.uint8))
    return found


@pytest.mark.parametrize(("other", "agreed"), [(Engine(1, 0), 1.0), (Engine(3, 0), 0.0), (Engine(1, 1), 0.0),
                                               (Engine(1, 0, surely=False), 0.0)])
def test_the_same_find_agrees_and_another_place_class_or_nothing_does_not(other, agreed, paths):
    truth = detections_as_labels(Engine(1, 0), NETWORK, paths, workers=0)
    assert [len(labels) for labels in truth.labels] == [1, 1]
    assert truth.labels[0][0] == pytest.approx([0, 0.375, 0.375, 0.375, 0.375], abs=0.02)
    assert agreement(other, NETWORK, truth, workers=0) == pytest.approx(agreed, abs=0.01)


def test_where_nothing_was_found_there_is_nothing_to_agree_on(paths):
    truth = detections_as_labels(Engine(1, 0, surely=False), NETWORK, paths, workers=0)
    assert math.isnan(agreement(Engine(1, 0), NETWORK, truth, workers=0))
