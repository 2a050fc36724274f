"""Pictures in, boxes in their own pixels out: an engine with everything around it that a network needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.darknet import Network
from utils.datasets import Geometry, prepare
from utils.deploy import Engine
from utils.training.decoding import HeadDecoder, Selection


class Detector:
    """Finds objects in pictures with any engine, the way Darknet does.

    Args:
        engine: what computes the network.
        network: gives the meaning of the heads, and the input size.
        letterbox: keep a picture's shape and pad it with grey, instead of stretching it.
        selection: which boxes are detections.
        clip: cut boxes at the border of the picture, as Darknet does when it draws or writes them.

    Attributes:
        classes: how many the network knows.

    Raises:
        CfgError: the network has no heads.
    """

    def __init__(self, engine: Engine, network: Network, *, letterbox: bool = False,
                 selection: Selection | None = None, clip: bool = True) -> None:
        self.engine = engine
        self.letterbox = letterbox
        self.selection = selection or Selection()
        self.clip = clip
        self.height, self.width, self.channels = network.net.height, network.net.width, network.net.channels
        self._decoder = HeadDecoder(network)
        self.classes = self._decoder.classes

    def detect(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Detect in (H, W, 3) uint8 RGB pictures, in one forward pass.

        Returns:
            Per picture (n, 6) float32: x1 y1 x2 y2 in its pixels, score, class; surest first.
        """
        if not images:
            return []
        prepared = [prepare(image, (self.height, self.width), self.letterbox, channels=self.channels)
                    for image in images]
        return self.detect_prepared(np.stack([array for array, _ in prepared]), [one for _, one in prepared])

    def detect_prepared(self, images: np.ndarray, geometries: Sequence[Geometry]) -> list[np.ndarray]:
        """The same for images that are at the network's size already.

        Args:
            images: (N, C, height, width) float32 in [0, 1]; of any size that the engine takes.
            geometries: how each picture lies in its array.
        """
        predictions = self._decoder.decode(self.engine.heads(images), *images.shape[2:])
        return [self._finish(self._decoder.select(one, self.selection, geometry.picture_size), geometry)
                for one, geometry in zip(predictions, geometries, strict=True)]

    def _finish(self, found: np.ndarray, geometry: Geometry) -> np.ndarray:
        boxes = geometry.to_image(found[:, :4])
        if self.clip:
            boxes = boxes.clip(0, [geometry.image_width, geometry.image_height] * 2)
        return np.concatenate((boxes, found[:, 4:]), axis=1).astype(np.float32)
