"""Where an image lies in the network's input, and how boxes go from one to the other (Darknet: correct_yolo_boxes)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.datasets.resize import letterbox_size
from utils.errors import DataError


@dataclass(frozen=True, slots=True)
class Geometry:
    """An image of image_width x image_height pixels, brought to net_width x net_height.

    letterbox: its shape was kept and the rest is grey; otherwise it was stretched over the whole input.
    """

    image_width: int
    image_height: int
    net_width: int
    net_height: int
    letterbox: bool = False

    def __post_init__(self) -> None:
        if min(self.image_width, self.image_height, self.net_width, self.net_height) < 1:
            raise DataError("image", f"{self.image_width}x{self.image_height} pixels cannot be brought to "
                            f"{self.net_width}x{self.net_height}", "give sizes of 1 or more")

    @property
    def picture_size(self) -> tuple[int, int]:
        """Width and height, in pixels of the network's input, that the image fills there."""
        if not self.letterbox:
            return self.net_width, self.net_height
        return letterbox_size(self.image_width, self.image_height, self.net_width, self.net_height)

    @property
    def offset(self) -> tuple[float, float]:
        """Left and top of the image, in pixels of the network's input.

        Half of what is left over, as `correct_yolo_boxes` takes it. `letterbox_image` puts the picture at the integer
        part, so where an odd number of pixels is left over Darknet's boxes are off by half a pixel; so are these.
        """
        width, height = self.picture_size
        return (self.net_width - width) / 2, (self.net_height - height) / 2

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) x1 y1 x2 y2 in pixels of the network's input -> the same boxes in pixels of the image, not clipped."""
        scale, shift = self._affine(boxes)
        return (boxes - shift) / scale

    def to_net(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) x1 y1 x2 y2 in pixels of the image -> the same boxes in pixels of the network's input."""
        scale, shift = self._affine(boxes)
        return boxes * scale + shift

    def labels_to_net(self, labels: np.ndarray) -> np.ndarray:
        """(n, 5 or more) class xc yc w h relative to the image -> relative to the network's input; the rest stays."""
        width, height = self.picture_size
        left, top = self.offset
        result = np.array(labels, dtype=np.float32)
        result[:, 1] = (labels[:, 1] * width + left) / self.net_width
        result[:, 2] = (labels[:, 2] * height + top) / self.net_height
        result[:, 3] = labels[:, 3] * width / self.net_width
        result[:, 4] = labels[:, 4] * height / self.net_height
        return result

    def _affine(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scale and shift of (x1, y1, x2, y2), in the precision of the boxes."""
        width, height = self.picture_size
        kind = boxes.dtype if np.issubdtype(boxes.dtype, np.floating) else np.float64
        scale = np.array([width / self.image_width, height / self.image_height] * 2, dtype=kind)
        return scale, np.array(self.offset * 2, dtype=kind)
