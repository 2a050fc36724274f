"""[maxpool], [local_avgpool], [avgpool]: maxpool_layer.c, avgpool_layer.c."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from utils.darknet.option_reader import LARGEST, OptionReader
from utils.darknet.rules import Fixed, Rule, Same
from utils.darknet.sections.base import KEYS_OF_ALL, Passing, ShapeError, pooled
from utils.darknet.sections.convolutional import blurred
from utils.darknet.shape import Shape

_KEYS = KEYS_OF_ALL | {"stride", "stride_x", "stride_y", "size", "padding", "maxpool_depth", "out_channels",
                       "antialiasing"}


def _window(options: OptionReader) -> dict[str, int]:
    stride = options.integer("stride", 1, least=1)
    size = options.integer("size", stride, least=1)
    return {
        "size": size,
        "stride_x": options.integer("stride_x", stride, least=1),
        "stride_y": options.integer("stride_y", stride, least=1),
        "padding": options.integer("padding", size - 1, least=0),
    }


def _windows(x: Shape, size: int, stride_x: int, stride_y: int, padding: int) -> Shape:
    """One pixel per window; ShapeError where the map and its padding are more than 32 bits can count."""
    if x.channels * (x.height + padding) * (x.width + padding) > LARGEST:
        raise ShapeError(f"size={size} and padding={padding} are too large for its {x.width}x{x.height} input",
                         "use a window that is no larger than the map")
    return Shape(x.channels, pooled(x.height, size, stride_y, padding), pooled(x.width, size, stride_x, padding))


@dataclass(frozen=True, slots=True)
class Maxpool(Passing):
    """Maximum over a window, or with maxpool_depth over every out_channels-th channel of a pixel.

    padding: pixels in all, half of them (rounded down) left and above; outside counts as minus infinity.
    """

    kind: ClassVar[str] = "maxpool"
    names: ClassVar[tuple[str, ...]] = ("maxpool", "max")
    keys: ClassVar[frozenset[str]] = _KEYS

    size: int
    stride_x: int
    stride_y: int
    padding: int
    maxpool_depth: bool
    out_channels: int
    antialiasing: int

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Maxpool:
        """size defaults to stride, padding to size - 1."""
        return cls(**_window(options), maxpool_depth=options.flag("maxpool_depth"),
                   out_channels=options.integer("out_channels", 1, least=1),
                   antialiasing=options.integer("antialiasing", 0, least=0))

    def _pooled(self, x: Shape) -> Shape:
        stride_x, stride_y = (1, 1) if self.antialiasing else (self.stride_x, self.stride_y)
        return _windows(x, self.size, stride_x, stride_y, self.padding)

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """What the next layer sees."""
        (x,) = shapes
        if self.maxpool_depth:
            if x.channels % self.out_channels:
                raise ShapeError(f"out_channels={self.out_channels} does not divide its {x.channels} input channels",
                                 "choose out_channels= that does")
            return Shape(self.out_channels, x.height, x.width)
        return blurred(self._pooled(x), self.antialiasing, self.stride_x, self.stride_y)

    def bflops(self, shapes: Sequence[Shape]) -> float:
        """One comparison per pixel of each window."""
        (x,) = shapes
        window = x if self.maxpool_depth else self._pooled(x)
        return self.size * self.size * x.channels * window.height * window.width / 1e9

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Channel by channel, unless it takes the maximum over channels."""
        return Fixed("maxpool_depth takes the maximum over channels") if self.maxpool_depth else Same()


@dataclass(frozen=True, slots=True)
class LocalAvgpool(Passing):
    """Mean over the part of a window that lies inside the map; `padding` as in [maxpool]."""

    kind: ClassVar[str] = "local_avgpool"
    names: ClassVar[tuple[str, ...]] = ("local_avgpool", "local_avg")
    keys: ClassVar[frozenset[str]] = _KEYS

    size: int
    stride_x: int
    stride_y: int
    padding: int

    @classmethod
    def read(cls, options: OptionReader, index: int) -> LocalAvgpool:
        """size defaults to stride, padding to size - 1."""
        return cls(**_window(options))

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """One value per window."""
        (x,) = shapes
        return _windows(x, self.size, self.stride_x, self.stride_y, self.padding)

    def bflops(self, shapes: Sequence[Shape]) -> float:
        """One addition per pixel of each window."""
        return self.size * self.size * self.output(shapes).size / 1e9


@dataclass(frozen=True, slots=True)
class Avgpool(Passing):
    """Mean over the whole map."""

    kind: ClassVar[str] = "avgpool"
    names: ClassVar[tuple[str, ...]] = ("avgpool", "avg")
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """One pixel."""
        return Shape(shapes[0].channels, 1, 1)
