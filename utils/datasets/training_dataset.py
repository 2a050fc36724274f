"""Training samples: each a function of the seed, the epoch and its position in it, whoever makes it and when."""

from __future__ import annotations

import numpy as np

from utils.datasets.augmentation import AugmentationOptions, augment, fit, lone_canvas, mosaic_canvas, to_relative
from utils.datasets.augmentation.fit import GREY
from utils.datasets.image_cache import ImageCache, load_for
from utils.datasets.images import grey_image
from utils.datasets.label_cache import ImageScan
from utils.errors import DataError, OptionError

_NO_LABELS = np.zeros((0, 5), dtype=np.float32)


class TrainingDataset:
    """The images of a list as a network in training sees them.

    Args:
        scan: the images and labels.
        options: how strongly images are changed.
        letterbox: as the network will be used: images keep their shape, or are stretched over its input.
        channels: 3, or 1 for a network that sees grey images.
        seed: of everything random here.
        cache: images in memory; without it they are decoded again for each sample.
        strict: raise the first image that cannot be decoded. Otherwise grey takes its place, without labels, and
            `failures` tells.

    Attributes:
        failures: what could not be decoded so far, by index.

    Raises:
        DataError: not a single label in the whole list. OptionError: other channels, or a negative seed.
    """

    def __init__(self, scan: ImageScan, options: AugmentationOptions, *, letterbox: bool = False, channels: int = 3,
                 seed: int = 0, cache: ImageCache | None = None, strict: bool = False) -> None:
        if not scan.boxes:
            raise DataError(scan.source, f"there are no labels at all beside its {len(scan)} images",
                            "put label files where Darknet looks for them: .../images/a.jpg has .../labels/a.txt")
        if channels not in (1, 3):
            raise OptionError("channels", f"{channels} cannot be made of an image", "use channels=3 or 1 in [net]")
        if seed < 0:
            raise OptionError("seed", f"{seed} is negative", "give 0 or more")
        self.scan, self.options, self.letterbox, self.channels, self.seed = scan, options, letterbox, channels, seed
        self.cache, self.strict = cache, strict
        self.failures: dict[int, DataError] = {}

    def __len__(self) -> int:
        return len(self.scan)

    def sample(self, index: int, position: int, epoch: int, size: tuple[int, int], mosaic: bool = True, *,
               letterbox: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
        """One image, changed, with its labels.

        Args:
            index: of the image; a mosaic takes three more, drawn from all.
            position: of the sample in its epoch, over all processes; with the seed and the epoch it gives every
                random number.
            epoch: from 0.
            size: (height, width) of the network's input, in pixels.
            mosaic: whether mosaics are made, with the probability that the options say.
            letterbox: other than the data set's own.

        Returns:
            (channels, height, width) uint8 RGB, contiguous, and (n, 5) float32 class xc yc w h relative to it.

        Raises:
            DataError: (strict) an image cannot be read.
        """
        random = np.random.default_rng((self.seed, epoch, position))
        letterbox = self.letterbox if letterbox is None else letterbox
        height, width = size
        if random.random() < self.options.mosaic and mosaic:
            members = random.permutation([index, *random.integers(len(self), size=3)])
            canvas = mosaic_canvas([self._fitted(int(i), size, letterbox) for i in members], size, random)
        else:
            canvas = lone_canvas(*self._fitted(index, size, letterbox), size)
        image, labels = augment(canvas, self.options, size, random)
        planes = grey_image(image)[None] if self.channels == 1 else image.transpose(2, 0, 1)
        return np.ascontiguousarray(planes), to_relative(labels, width, height)

    def _fitted(self, index: int, size: tuple[int, int], letterbox: bool) -> tuple[np.ndarray, np.ndarray]:
        """An image at the size of the network, and its labels relative to the image."""
        height, width = size
        try:
            image = None if self.cache is None else self.cache.get(index)
            if image is None:
                image = load_for(self.scan, index, size, letterbox)
        except DataError as error:
            if self.strict:
                raise
            self.failures.setdefault(index, error)
            return np.full((height, width, 3), GREY, dtype=np.uint8), _NO_LABELS
        return fit(image, width, height, letterbox), self.scan.labels[index]
