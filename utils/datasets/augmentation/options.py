"""How strongly training images are changed."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from utils.errors import OptionError

_SHARES = ("flip_left_right", "flip_up_down", "mosaic", "least_visible")
_BELOW_ONE = ("hsv_h", "hsv_s", "hsv_v", "translate", "scale")


@dataclass(frozen=True, slots=True)
class AugmentationOptions:
    """Ranges and probabilities; the defaults are the hyper-parameters of the 2019 family of trainers.

    hsv_h, hsv_s, hsv_v: hue, saturation and value are multiplied by 1 + U(-1, 1) * gain.
    degrees: the image is turned by U(-1, 1) * degrees. translate: moved by U(-1, 1) * translate of its width and
    height. scale: enlarged by 1 + U(-1, 1) * scale. shear: in x and in y by U(-1, 1) * shear degrees.
    flip_left_right, flip_up_down, mosaic: probabilities.
    literal_mosaic: the mosaic as it was: the centre of the canvas, not turned, moved or scaled.
    least_side: a moved box must be wider and higher than this, in pixels. least_visible: part of its area that must be
    left. most_aspect: a box of which something was cut off must be less elongated than this.

    Raises:
        OptionError: a number that makes no sense.
    """

    hsv_h: float = 0.10
    hsv_s: float = 0.5703
    hsv_v: float = 0.3174
    degrees: float = 1.113
    translate: float = 0.06797
    scale: float = 0.1059
    shear: float = 0.5768
    flip_left_right: float = 0.5
    flip_up_down: float = 0.0
    mosaic: float = 1.0
    literal_mosaic: bool = False
    least_side: float = 4.0
    least_visible: float = 0.1
    most_aspect: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0:
                raise OptionError(field.name, f"{value} is no amount", "give 0 or more")
            if field.name in _SHARES and value > 1:
                raise OptionError(field.name, f"{value} is no share", "give a number from 0 to 1")
            if field.name in _BELOW_ONE and value >= 1:
                raise OptionError(field.name, f"{value} would leave nothing of an image", "give a number below 1")
        if self.shear >= 90:
            raise OptionError("shear", f"{self.shear} degrees turn an image into a line", "give a number below 90")

    @classmethod
    def none(cls) -> AugmentationOptions:
        """Every image as it is."""
        return cls(hsv_h=0, hsv_s=0, hsv_v=0, degrees=0, translate=0, scale=0, shear=0, flip_left_right=0,
                   flip_up_down=0, mosaic=0)

    @property
    def moves(self) -> bool:
        """Whether images are turned, moved, scaled or sheared."""
        return bool(self.degrees or self.translate or self.scale or self.shear)
