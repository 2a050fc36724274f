"""[convolutional]: parser.c parse_convolutional, convolutional_layer.c make_convolutional_layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from utils.darknet.activations import ACTIVATIONS
from utils.darknet.option_reader import OptionReader
from utils.darknet.rules import Fixed, Fresh, Rule, Same
from utils.darknet.sections.base import KEYS_OF_ALL, ArraySpec, Passing, ShapeError, pooled, reference
from utils.darknet.shape import Shape


@dataclass(frozen=True, slots=True)
class Convolutional(Passing):
    """A convolution, its batch norm or bias, its activation and, with antialiasing, the blur behind it.

    padding: pixels on each side before dilation. share_index: the layer whose arrays it uses instead of its own.
    """

    kind: ClassVar[str] = "convolutional"
    names: ClassVar[tuple[str, ...]] = ("convolutional", "conv")
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {
        "filters", "groups", "size", "stride", "stride_x", "stride_y", "dilation", "antialiasing", "pad", "padding",
        "activation", "assisted_excitation", "share_index", "batch_normalize", "cbn", "binary", "xnor", "bin_output",
        "use_bin_output", "sway", "rotate", "stretch", "stretch_sway", "flipped", "dot", "angle", "grad_centr",
        "reverse", "coordconv", "stream", "wait_stream", "deform"}

    filters: int
    size: int
    stride_x: int
    stride_y: int
    padding: int
    dilation: int
    groups: int
    batch_normalize: bool
    activation: str
    antialiasing: int
    share_index: int | None
    dontload: bool
    dontloadscales: bool
    flipped: bool

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Convolutional:
        """Options with Darknet's defaults; xnor and binary convolutions are refused."""
        for key in ("xnor", "binary"):
            if options.flag(key):
                raise options.error(f"{key}=1 (binary weights) is not supported", "train and prune it without", key)
        size = options.integer("size", 1, least=1)
        stride = options.integer("stride", 1, least=1)
        shared = None
        if options.has("share_index"):
            shared = reference(options, "share_index", options.integer("share_index", 0), index)
        return cls(
            filters=options.integer("filters", 1, least=1),
            size=size,
            stride_x=_at_least_one(options, "stride_x", stride),
            stride_y=_at_least_one(options, "stride_y", stride),
            padding=size // 2 if options.flag("pad") else options.integer("padding", 0, least=0),
            dilation=1 if size == 1 else options.integer("dilation", 1, least=1),
            groups=options.integer("groups", 1, least=1),
            batch_normalize=options.flag("batch_normalize") or options.flag("cbn"),
            activation=options.activation("logistic"),
            antialiasing=options.integer("antialiasing", 0, least=0),
            share_index=shared,
            dontload=options.flag("dontload"),
            dontloadscales=options.flag("dontloadscales"),
            flipped=options.flag("flipped"),
        )

    def convolved(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the convolution's own output, before the blur of antialiasing."""
        (x,) = shapes
        stride_x, stride_y = (1, 1) if self.antialiasing else (self.stride_x, self.stride_y)
        return Shape(self.filters, pooled(x.height, self.size, stride_y, 2 * self.padding),
                     pooled(x.width, self.size, stride_x, 2 * self.padding))

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """What the next layer sees; ShapeError for groups that do not divide and for what Darknet computes wrongly."""
        (x,) = shapes
        if x.channels % self.groups or self.filters % self.groups:
            raise ShapeError(f"groups={self.groups} does not divide its {x.channels} input channels and "
                             f"{self.filters} filters", "choose groups= that divides both")
        stride_x, stride_y = (1, 1) if self.antialiasing else (self.stride_x, self.stride_y)
        if self.size == 1 and stride_x == 1 and (self.padding or stride_y != 1):
            raise ShapeError("a 1x1 convolution with stride_x=1 ignores padding and stride_y in Darknet, "
                             "and reads past its input", "drop padding= and stride_y=")
        effective = self.dilation * (self.size - 1) + 1
        if effective - 2 * self.padding * self.dilation != self.size - 2 * self.padding and self.dilation > 1:
            raise ShapeError(f"dilation={self.dilation} with size={self.size} and padding {self.padding} gives maps "
                             "of another size than Darknet records", "use pad=1 with an odd size=")
        own = self.convolved(shapes)
        return blurred(own, self.antialiasing, self.stride_x, self.stride_y)

    def arrays(self, shapes: Sequence[Shape]) -> tuple[ArraySpec, ...]:
        """beta gamma mean var weight with batch norm, else bias weight; none for a layer that shares another's."""
        if self.share_index is not None:
            return ()
        kernel = (self.filters, shapes[0].channels // self.groups, self.size, self.size)
        load = not self.dontload
        transposed = (kernel[1] * self.size * self.size, self.filters) if self.flipped else None
        weight = ArraySpec("weight", kernel, load, transposed)
        if not self.batch_normalize:
            return (ArraySpec("bias", (self.filters,), load), weight)
        statistics = tuple(ArraySpec(name, (self.filters,), load and not self.dontloadscales)
                           for name in ("gamma", "mean", "var"))
        return (ArraySpec("beta", (self.filters,), load), *statistics, weight)

    def macs(self, shapes: Sequence[Shape]) -> int:
        """Kernel size times output positions."""
        own = self.convolved(shapes)
        return own.size * shapes[0].channels // self.groups * self.size * self.size

    def bflops(self, shapes: Sequence[Shape]) -> float:
        """Two operations per multiply-add."""
        return 2 * self.macs(shapes) / 1e9

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Fresh, or Same for a depthwise convolution."""
        if self.share_index is not None:
            return Fixed("shares the weights of another layer (share_index)")
        if ACTIVATIONS[self.activation].over_channels:
            return Fixed(f"activation={self.activation} mixes all channels of a pixel")
        if 1 < self.groups == shapes[0].channels:
            return Same(multiplier=self.filters // self.groups)
        return Fresh(blocks=self.groups)


def blurred(shape: Shape, antialiasing: int, stride_x: int, stride_y: int) -> Shape:
    """The shape behind the blur of `antialiasing` (1: 3x3 with padding 1, 2: 2x2 without), or `shape` for 0."""
    if not antialiasing:
        return shape
    size, padding = (2, 0) if antialiasing == 2 else (3, 2)
    return Shape(shape.channels, pooled(shape.height, size, stride_y, padding),
                 pooled(shape.width, size, stride_x, padding))


def _at_least_one(options: OptionReader, key: str, default: int) -> int:
    value = options.integer(key, -1)
    return default if value < 1 else value
