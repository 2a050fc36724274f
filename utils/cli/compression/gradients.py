"""Gradient scores for `--criterion taylor`, from the labelled training images of --data."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from utils.cli.arguments import letterboxed
from utils.cli.pruning.cutting import device_name
from utils.cli.validation import validation_set

if TYPE_CHECKING:
    from utils.darknet import Network, Weights
    from utils.datasets import DetectionDataset
    from utils.training import Gradients


def labelled_gradients(args: argparse.Namespace, network: Network) -> Gradients:
    """What measures a network of these heads on --calibration-images images of the train= of --data.

    Raises:
        DataError: the list, or a label on it, cannot be used. That of an image comes when it is measured.
    """
    from utils.training import HeadDecoder, taylor_importance

    dataset = validation_set(args.data, HeadDecoder(network).classes, "train")

    def measured(network: Network, weights: Weights) -> dict[int, np.ndarray]:
        return taylor_importance(network, weights, _labelled(args, network, dataset), device=device_name(args))

    return measured


def _labelled(args: argparse.Namespace, network: Network,
              dataset: DetectionDataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images, and targets (n, 6) as the loss takes them."""
    net = network.net
    batches = dataset.batches(args.batch_size, (net.height, net.width), letterboxed(args.letterbox, net.letter_box),
                              args.workers, channels=net.channels)
    for batch in islice(batches, -(-args.calibration_images // args.batch_size)):
        rows = [np.column_stack((np.full(len(labels), number), labels[:, :5]))
                for number, labels in enumerate(batch.net_labels())]
        yield batch.images, np.concatenate(rows).astype(np.float32)
