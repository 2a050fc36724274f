"""Variances and covariances of a network's activations on calibration images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from models import model_with
from utils.darknet import IMAGE, Fresh, Layer, Network, Weights
from utils.errors import DataError
from utils.layers import ConvolutionalLayer, channels_last
from utils.pruning.statistics import ActivationStatistics
from utils.training.lockstep import Lane, on_device

_POSITIONS = 16_384  # of each map, over all images; covariances of 1024 channels need some thousands


def activation_statistics(network: Network, weights: Weights, batches: Iterable[np.ndarray], *, images: int,
                          device: str = "cpu", seed: int = 0) -> ActivationStatistics:
    """Run a network over images and measure what `ActivationStatistics` says; covariances at sampled positions.

    Args:
        batches: images, (N, C, H, W) float32 in [0, 1] each. images: how many there are in all.

    Raises:
        DataError: the network computes NaN on them.
    """
    model = channels_last(model_with(network, weights).to(device))
    moments = _Moments(network, generator=np.random.default_rng(seed), share=_POSITIONS / images)
    with torch.inference_mode():
        for batch in batches:
            lane = Lane(model)
            lane.join(on_device(batch, torch.device(device)), 0)
            for layer in network.layers:
                moments.layer(lane, layer)
    return moments.values()


class _Moments:
    """Collects everything, layer by layer and batch by batch."""

    def __init__(self, network: Network, generator: np.random.Generator, share: float) -> None:
        self._network, self._generator, self._share = network, generator, share
        self._sources = {layer.inputs[0] for layer in network.layers if isinstance(layer.rule, Fresh)}
        self._summands = {source for layer in network.layers if layer.kind == "shortcut" for source in layer.inputs}
        self._covariances: dict[int, _Covariance] = {}
        self._responses: dict[int, _Variance] = {}
        self._variances: dict[int, _Variance] = {}

    def layer(self, lane: Lane, layer: Layer) -> None:
        """Run one layer on one batch."""
        index = layer.index
        if index == 0 and IMAGE in self._sources:
            self._map(IMAGE, lane.inputs(0, 0)[0])
        module = lane.model.layers[index]
        if isinstance(module, ConvolutionalLayer):
            before_norm = module.convolved(lane.inputs(0, index)[0])
            self._responses.setdefault(index, _Variance()).add(before_norm)
            output = module.finished(before_norm)
            lane.put(0, index, output)
        else:
            output = lane.step(0, index)
        self._map(index, output)

    def values(self) -> ActivationStatistics:
        """All of it; DataError where it is no number."""
        found = ActivationStatistics({key: one.value() for key, one in self._covariances.items()},
                                     {key: one.value() for key, one in self._responses.items()},
                                     {key: one.value() for key, one in self._variances.items()})
        for key, values in found.responses.items():
            if not np.isfinite(values).all():
                raise DataError(self._network.layers[key].where, "computes numbers that are NaN or infinite on the "
                                "calibration images", "take weights from before the training diverged, or other images")
        return found

    def _map(self, index: int, x: Tensor) -> None:
        if index in self._sources:
            count = x[:, 0].numel()
            wanted = min(count, max(1, round(self._share * len(x))))
            chosen = torch.from_numpy(self._generator.choice(count, wanted, replace=False)).to(x.device)
            self._covariances.setdefault(index, _Covariance()).add(x.permute(0, 2, 3, 1).reshape(count, -1)[chosen])
        if index in self._summands:
            self._variances.setdefault(index, _Variance()).add(x)


class _Variance:
    """Of each channel of maps (N, C, H, W): each batch in float32 about its own mean, the batches together in float64."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: tuple[Tensor, Tensor] | None = None  # of x, and of x**2

    def add(self, x: Tensor) -> None:
        rows = x.permute(0, 2, 3, 1).flatten(0, 2)  # in channels_last, which this is fast in, no copy
        count, mean = len(rows), rows.mean(dim=0)
        variance, mean = (rows - mean).square_().mean(dim=0).double(), mean.double()
        total, squares = count * mean, count * (variance + mean.square())
        self._sums = (total, squares) if self._sums is None else (self._sums[0] + total, self._sums[1] + squares)
        self._count += count

    def value(self) -> np.ndarray:
        assert self._sums is not None  # since the first batch
        mean, squares = (part / self._count for part in self._sums)
        return (squares - mean.square()).clamp(min=0).cpu().numpy()


class _Covariance:
    """Of rows (m, C), in float64 about the mean of the first ones."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: tuple[Tensor, Tensor, Tensor] | None = None  # the mean they are about, their sum and their products'

    def add(self, rows: Tensor) -> None:
        rows = rows.double()
        if self._sums is None:
            self._sums = rows.mean(dim=0), rows.new_zeros(rows.shape[1]), rows.new_zeros(rows.shape[1], rows.shape[1])
        guess, total, gram = self._sums
        rows = rows - guess
        total += rows.sum(dim=0)
        gram.addmm_(rows.T, rows)
        self._count += len(rows)

    def value(self) -> np.ndarray:
        assert self._sums is not None  # since the first batch
        _, total, gram = self._sums
        mean = total / self._count
        covariance = gram / self._count - mean[:, None] * mean
        covariance.diagonal().clamp_(min=0)  # constant channels are 0 but for rounding
        return covariance.cpu().numpy()
