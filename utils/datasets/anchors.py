"""Anchors that fit a data set: clusters of the widths and heights of its boxes, with 1 - IoU as the distance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from utils.datasets.geometry import Geometry
from utils.errors import DataError

ROUNDS = 1000
"""Upper limit; the clusters come to rest far earlier."""

STARTS = 10
"""How often the search begins anew; the best end counts."""

ENOUGH = 20_000
"""Boxes that the search looks at; of more, so many are drawn. The fit is measured on all."""


@dataclass(frozen=True)
class Anchors:
    """Anchors and how well they fit.

    anchors: (k, 2) float64 width and height in pixels of the network's input, the smallest area first. boxes: how
    many they were found for. mean_iou: mean over the boxes of the IoU with the best anchor, centres put together.
    recall: share of the boxes whose best anchor reaches `threshold`; the others can hardly be learned.
    """

    anchors: np.ndarray
    boxes: int
    mean_iou: float
    recall: float
    threshold: float


def find_anchors(sizes: np.ndarray, k: int, network: tuple[int, int], *, seed: int = 0,
                 threshold: float = 0.2635) -> Anchors:
    """Find k anchors for boxes.

    The first centres are drawn as in k-means++ (far from those already drawn); each round gives every box to its best
    centre and moves each centre to the median width and height of its boxes. Of several starts the one with the
    highest mean IoU counts. Source: Redmon and Farhadi, YOLO9000 (CVPR 2017), section 2. They move to the mean, which
    large boxes pull upwards: on 929 boxes of COCO and 9 anchors the mean IoU then ends near .59, with medians near .61
    (the published anchors of YOLOv3: .590).

    Args:
        sizes: (n, 2) widths and heights relative to the image, as in labels (see `box_sizes`).
        k: how many, as the heads of the cfg use together.
        network: (width, height) of the network's input, in pixels.
        seed: of the drawing.
        threshold: IoU that counts for `recall`.

    Raises:
        DataError: fewer than k different sizes, or a size that is not in (0, 1].
    """
    sizes = np.asarray(sizes, dtype=np.float64).reshape(-1, 2)
    if not (np.isfinite(sizes).all() and (sizes > 0).all() and (sizes <= 1).all()):
        raise DataError("boxes", "have a width or height outside (0, 1]", "give sizes relative to the image")
    distinct = len(np.unique(sizes, axis=0))
    if k < 1 or distinct < k:
        raise DataError("boxes", f"have {distinct} different sizes, too few for {k} anchors",
                        "label more images or ask for fewer anchors")
    boxes = sizes * np.asarray(network, dtype=np.float64)
    random = np.random.default_rng(seed)
    some = boxes if len(boxes) <= ENOUGH else boxes[random.choice(len(boxes), ENOUGH, replace=False)]
    ends = [_settled(some, _first_centres(some, k, random)) for _ in range(STARTS)]
    centres = max(ends, key=lambda end: anchor_fit(some, end)[0])
    centres = centres[np.lexsort((centres[:, 0], centres.prod(axis=1)))]
    mean_iou, recall = anchor_fit(boxes, centres, threshold)
    return Anchors(centres, len(boxes), mean_iou, recall, threshold)


def anchor_fit(boxes: np.ndarray, anchors: np.ndarray, threshold: float = 0.2635) -> tuple[float, float]:
    """Mean best IoU, and best possible recall at `threshold`, of (n, 2) boxes and (k, 2) anchors in the same units."""
    best = shape_iou(boxes, anchors).max(axis=1)
    return float(best.mean()), float((best >= threshold).mean())


def shape_iou(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """IoU of (n, 2) and (k, 2) widths and heights with their centres put together: (n, k)."""
    common = np.minimum(boxes[:, None, 0], anchors[None, :, 0]) * np.minimum(boxes[:, None, 1], anchors[None, :, 1])
    return common / (boxes.prod(axis=1)[:, None] + anchors.prod(axis=1)[None] - common)


def box_sizes(labels: Iterable[np.ndarray]) -> np.ndarray:
    """(n, 2) widths and heights of all boxes in the labels of some images, (m, 5 or more) each."""
    sizes = [np.asarray(one, dtype=np.float64).reshape(len(one), -1)[:, 3:5] for one in labels if len(one)]
    return np.concatenate(sizes) if sizes else np.zeros((0, 2))


def box_sizes_in(network: tuple[int, int], labels: Iterable[np.ndarray], images: np.ndarray, *,
                 letterbox: bool) -> np.ndarray:
    """(n, 2) widths and heights of all boxes relative to the network's input, as training will see them.

    Args:
        network: (width, height) of the input in pixels.
        labels: per image (m, 5 or more), relative to the image.
        images: (N, 2) width and height of the images in pixels; they matter with a letterbox only.
        letterbox: the picture keeps its shape and fills a part of the input.
    """
    if letterbox:
        labels = [Geometry(int(width), int(height), *network, True).labels_to_net(one)
                  for (width, height), one in zip(images, labels, strict=True)]
    return box_sizes(labels)


def _settled(boxes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The (k, 2) centres where no box changes its centre any more."""
    best = np.full(len(boxes), -1)
    for _ in range(ROUNDS):
        nearest = shape_iou(boxes, centres).argmax(axis=1)
        if (nearest == best).all():
            break
        best = nearest
        centres = np.stack([np.median(boxes[best == i], axis=0) if (best == i).any() else centre  # without boxes: stays
                            for i, centre in enumerate(centres)])
    return centres


def _first_centres(boxes: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """k different boxes; the chance to be drawn grows with the squared distance to what was drawn before."""
    drawn = [int(random.integers(len(boxes)))]
    distance = 1 - shape_iou(boxes, boxes[drawn])[:, 0]
    while len(drawn) < k:
        weight = np.maximum(distance, 0) ** 2
        if not weight.any():
            raise DataError("boxes", f"have too few different sizes for {k} anchors", "ask for fewer anchors")
        drawn.append(int(random.choice(len(boxes), p=weight / weight.sum())))
        distance = np.minimum(distance, 1 - shape_iou(boxes, boxes[drawn[-1:]])[:, 0])
    return boxes[drawn].copy()
