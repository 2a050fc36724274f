"""Rare classes more often: how likely each image is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.errors import DataError


def class_weights(labels: Sequence[np.ndarray], classes: int) -> np.ndarray:
    """(classes,) float64: one over how many boxes each class has, all together 1; 0 for a class without boxes.

    Args:
        labels: per image (n, 5) class xc yc w h.
    """
    ids = np.concatenate([np.zeros(0), *(one[:, 0] for one in labels if len(one))]).astype(np.int64)
    counts = np.bincount(ids, minlength=classes)
    weights = np.divide(1.0, counts, out=np.zeros(len(counts)), where=counts > 0)
    return weights / max(weights.sum(), 1e-300)


def image_weights(labels: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """(N,) float64, all together 1: each image's boxes summed, every box with the weight of its class.

    An image without boxes gets the mean of the others (literally it would get 0 and never be seen), so background
    keeps its share of what is drawn.

    Args:
        labels: per image (n, 5) class xc yc w h.
        weights: (classes,) per class, 0 or more; for example `class_weights`, or that times (1 - AP)^2.

    Raises:
        DataError: no image has a weight above 0.
    """
    weights = np.asarray(weights, dtype=np.float64)
    sums = np.array([weights[one[:, 0].astype(np.int64)].sum() for one in labels])
    boxed = np.array([len(one) > 0 for one in labels], dtype=bool)
    if not sums.any() or not np.isfinite(sums).all() or (weights < 0).any():
        raise DataError("class weights", "give no image a chance to be drawn", "give weights of 0 or more, not all 0")
    sums[~boxed] = sums[boxed].mean()
    return sums / sums.sum()
