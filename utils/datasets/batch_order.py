"""Which images make which batch of an epoch, at which size: a plan, the same for everyone who knows the seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from utils.datasets.rectangles import rect_shape
from utils.errors import OptionError

# Random streams beside those of the samples, default_rng((seed, epoch, position)): numpy fills up with zeros, so that
# (seed, epoch) would be the stream of the first sample.
_ORDER, _SIZES, _RECTANGLES = 1, 2, 3


@dataclass(frozen=True, slots=True)
class MultiScale:
    """A network input whose size changes during training.

    The longer side is one of least, least + step, ..., most pixels, all equally likely; a new one is drawn every
    `every` batches (the ancestor: every 10 optimiser steps).
    """

    least: int
    most: int
    step: int = 32
    every: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.least <= self.most:
            raise OptionError("multi-scale", f"{self.least} to {self.most} in steps of {self.step} are no sizes",
                              "give the smaller one first, at least one step")
        if self.every < 1:
            raise OptionError("multi-scale", f"a new size every {self.every} batches cannot be", "give 1 or more")

    @classmethod
    def around(cls, side: int, step: int = 32, every: int = 10) -> MultiScale:
        """From one step above side / 1.5 to one below side * 1.5: 320 to 608 around 416."""
        steps = side / step
        least, most = round(steps / 1.5) + 1, round(steps * 1.5) - 1
        middle = max(1, round(steps))
        return cls(step * min(least, middle), step * max(most, middle), step, every)

    def size(self, base: tuple[int, int], seed: int, epoch: int, batch: int) -> tuple[int, int]:
        """(height, width) of a batch; the shape of `base`, to the nearest step."""
        steps = np.random.default_rng((seed, epoch, batch // self.every, _SIZES)).integers(
            self.least // self.step, self.most // self.step + 1)
        return self._shape(int(steps), base)

    def largest(self, base: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the largest batches there may be."""
        return self._shape(self.most // self.step, base)

    def sizes(self, base: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """(height, width) of all batches there may be."""
        return tuple(self._shape(steps, base) for steps in range(self.least // self.step, self.most // self.step + 1))

    def _shape(self, steps: int, base: tuple[int, int]) -> tuple[int, int]:
        height, width = (max(1, round(steps * side / max(base))) * self.step for side in base)
        return height, width


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """All that the samples of a batch depend on, beside the data set and its seed.

    number: of the batch in its epoch. indices: of the images. positions: of the samples in the order of the epoch over
    all processes. size: (height, width) in pixels. letterbox: None is as the data set says.
    """

    epoch: int
    number: int
    indices: tuple[int, ...]
    positions: tuple[int, ...]
    size: tuple[int, int]
    mosaic: bool
    letterbox: bool | None = None


@dataclass(frozen=True, eq=False)
class BatchOrder:
    """How epochs are cut into batches.

    images: how many there are. batch_size: images per batch of one process. size: (height, width) of the network's
    input. seed: of order and sizes. rank, world: which of how many processes this one is; together they see the same
    images in batch k as one process with world times the batch size. multi_scale: changing sizes. shapes: (N, 2) width
    and height of all images makes rectangular batches: of similar images, letterboxed, no larger than they need, in
    multiples of `stride`, without mosaic, the batches in random order. weights: gives (N,) chances per epoch, and
    images are drawn with replacement; otherwise each comes once. mosaic_until: first epoch without mosaics.

    A last batch with a single image is left out, because a batch norm needs two, unless it is the only one.
    """

    images: int
    batch_size: int
    size: tuple[int, int]
    seed: int = 0
    rank: int = 0
    world: int = 1
    multi_scale: MultiScale | None = None
    shapes: np.ndarray | None = field(default=None, repr=False)
    stride: int = 32
    weights: Callable[[int], np.ndarray] | None = None
    mosaic_until: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise OptionError("batch size", f"{self.batch_size} images are no batch", "give 1 or more")
        if self.images < 1:
            raise OptionError("images", "there are none", "give a list with images")
        if min(self.size) < 1:
            raise OptionError("size", f"{self.size[1]}x{self.size[0]} pixels cannot be", "give 1 or more")
        if self.seed < 0:
            raise OptionError("seed", f"{self.seed} is negative", "give 0 or more")
        if not 0 <= self.rank < self.world:
            raise OptionError("rank", f"{self.rank} of {self.world} processes cannot be", "count from 0")

    def __len__(self) -> int:
        """Batches per epoch, for each process."""
        full, rest = divmod(-(-self.images // self.world), self.batch_size)
        return max(1, full + (rest >= 2))

    def requests(self, epoch: int) -> list[BatchRequest]:
        """The batches of one epoch, for this process."""
        if epoch < 0:
            raise OptionError("epoch", f"{epoch} is negative", "epochs count from 0")
        order = self._order(epoch)
        together = self.batch_size * self.world
        starts = np.arange(0, len(order), together)
        if self.shapes is not None:
            aspect = self.shapes[:, 0] / self.shapes[:, 1]
            order = order[np.argsort(aspect[order], kind="stable")]
            np.random.default_rng((self.seed, epoch, 0, _RECTANGLES)).shuffle(starts)
        return [self._request(epoch, number, order, start, min(start + together, len(order)))
                for number, start in enumerate(starts.tolist())]

    def _order(self, epoch: int) -> np.ndarray:
        """Indices of all images of the epoch, over all processes: as many as its batches hold."""
        random = np.random.default_rng((self.seed, epoch, 0, _ORDER))
        if self.weights is None:
            order = random.permutation(self.images)
        else:
            weights = np.asarray(self.weights(epoch), dtype=np.float64)
            order = random.choice(self.images, self.images, p=weights / weights.sum())
        length = -(-self.images // self.world) * self.world  # the first ones again, so that all have equally many
        return np.resize(order, length)[: len(self) * self.batch_size * self.world]

    def _request(self, epoch: int, number: int, order: np.ndarray, start: int, end: int) -> BatchRequest:
        size = self.size if self.multi_scale is None else self.multi_scale.size(self.size, self.seed, epoch, number)
        if self.shapes is not None:
            size = rect_shape(self.shapes[order[start:end]], max(size), self.stride)
        mosaic = self.shapes is None and (self.mosaic_until is None or epoch < self.mosaic_until)
        positions = range(start + self.rank, end, self.world)
        return BatchRequest(epoch, number, tuple(order[start + self.rank : end : self.world].tolist()), tuple(positions),
                            size, mosaic, None if self.shapes is None else True)
