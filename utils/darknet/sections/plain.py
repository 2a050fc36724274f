"""Sections of one input without special geometry: [upsample], [dropout], [empty], [batchnorm], [activation], [softmax],
[connected], [implicit], [reorg], [reorg3d]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from utils.darknet.activations import ACTIVATIONS
from utils.darknet.option_reader import OptionReader
from utils.darknet.rules import Fixed, Rule, Same
from utils.darknet.sections.base import KEYS_OF_ALL, ArraySpec, Passing, ShapeError
from utils.darknet.shape import Shape


@dataclass(frozen=True, slots=True)
class Upsample(Passing):
    """Nearest-neighbour enlargement, times `scale` (upsample_layer.c)."""

    kind: ClassVar[str] = "upsample"
    names: ClassVar[tuple[str, ...]] = ("upsample",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"stride", "scale"}

    stride: int
    scale: float

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Upsample:
        """stride defaults to 2."""
        return cls(options.integer("stride", 2, least=1), options.number("scale", 1.0))

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """`stride` times as high and wide."""
        (x,) = shapes
        return Shape(x.channels, x.height * self.stride, x.width * self.stride)


@dataclass(frozen=True, slots=True)
class Dropout(Passing):
    """Nothing at inference; in training it drops values with `probability` and scales the rest up."""

    kind: ClassVar[str] = "dropout"
    names: ClassVar[tuple[str, ...]] = ("dropout",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"probability", "dropblock", "dropblock_size_rel",
                                                    "dropblock_size_abs"}

    probability: float

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Dropout:
        """probability defaults to 0.2."""
        probability = options.number("probability", 0.2)
        if not 0 <= probability <= 1:
            raise options.error(f"probability={probability:g} is no share of the values", "give 0 to 1", "probability")
        return cls(probability)


@dataclass(frozen=True, slots=True)
class Empty(Passing):
    """Nothing at all."""

    kind: ClassVar[str] = "empty"
    names: ClassVar[tuple[str, ...]] = ("empty", "silence")
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL


@dataclass(frozen=True, slots=True)
class Batchnorm(Passing):
    """A batch norm of its own (batchnorm_layer.c)."""

    kind: ClassVar[str] = "batchnorm"
    names: ClassVar[tuple[str, ...]] = ("batchnorm",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL

    def arrays(self, shapes: Sequence[Shape]) -> tuple[ArraySpec, ...]:
        """beta gamma mean var."""
        return tuple(ArraySpec(name, (shapes[0].channels,)) for name in ("beta", "gamma", "mean", "var"))


@dataclass(frozen=True, slots=True)
class ActivationLayer(Passing):
    """An activation on its own."""

    kind: ClassVar[str] = "activation"
    names: ClassVar[tuple[str, ...]] = ("activation",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"activation"}

    activation: str

    @classmethod
    def read(cls, options: OptionReader, index: int) -> ActivationLayer:
        """activation defaults to linear."""
        return cls(options.activation("linear"))

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Channel by channel, unless it normalises over channels."""
        if ACTIVATIONS[self.activation].over_channels:
            return Fixed(f"activation={self.activation} mixes all channels of a pixel")
        return Same()


@dataclass(frozen=True, slots=True)
class Softmax(Passing):
    """Softmax over each of `groups` equal parts of the flattened map."""

    kind: ClassVar[str] = "softmax"
    names: ClassVar[tuple[str, ...]] = ("softmax", "soft")
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"groups", "temperature", "spatial", "noloss", "tree"}

    groups: int
    temperature: float

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Softmax:
        """A softmax tree is refused."""
        if options.has("tree"):
            raise options.error("softmax trees are not supported", "use a network without a tree=", "tree")
        return cls(options.integer("groups", 1, least=1), options.number("temperature", 1.0))

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the input."""
        if shapes[0].size % self.groups:
            raise ShapeError(f"groups={self.groups} does not divide its {shapes[0].size} inputs",
                             "choose groups= that does")
        return shapes[0]

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Fixed."""
        return Fixed("softmax mixes all channels")


@dataclass(frozen=True, slots=True)
class Connected(Passing):
    """A fully connected layer (connected_layer.c); its batch norm is stored behind the matrix."""

    kind: ClassVar[str] = "connected"
    names: ClassVar[tuple[str, ...]] = ("connected", "conn")
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"output", "activation", "batch_normalize"}

    outputs: int
    activation: str
    batch_normalize: bool

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Connected:
        """activation defaults to logistic."""
        return cls(options.integer("output", 1, least=1), options.activation("logistic"),
                   options.flag("batch_normalize"))

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """One pixel."""
        return Shape(self.outputs, 1, 1)

    def arrays(self, shapes: Sequence[Shape]) -> tuple[ArraySpec, ...]:
        """bias weight, or beta weight gamma mean var."""
        weight = ArraySpec("weight", (self.outputs, shapes[0].size))
        if not self.batch_normalize:
            return (ArraySpec("bias", (self.outputs,)), weight)
        return (ArraySpec("beta", (self.outputs,)), weight,
                *(ArraySpec(name, (self.outputs,)) for name in ("gamma", "mean", "var")))

    def macs(self, shapes: Sequence[Shape]) -> int:
        """The size of the matrix."""
        return self.outputs * shapes[0].size

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Fixed."""
        return Fixed("a [connected] layer reads every pixel of every channel")


@dataclass(frozen=True, slots=True)
class Implicit(Passing):
    """Learnt numbers that depend on no input: a map of filters x atoms x 1."""

    kind: ClassVar[str] = "implicit"
    names: ClassVar[tuple[str, ...]] = ("implicit",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"filters", "atoms"}

    filters: int
    atoms: int

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Implicit:
        """filters defaults to 128, atoms to 1."""
        return cls(options.integer("filters", 128, least=1), options.integer("atoms", 1, least=1))

    def inputs(self, index: int) -> tuple[int, ...]:
        """None."""
        return ()

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """filters x atoms x 1."""
        return Shape(self.filters, self.atoms, 1)

    def arrays(self, shapes: Sequence[Shape]) -> tuple[ArraySpec, ...]:
        """The numbers themselves."""
        return (ArraySpec("weight", (self.filters, self.atoms)),)

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Fixed."""
        return Fixed("[implicit] channels are weights")


@dataclass(frozen=True, slots=True)
class Reorg(Passing):
    """YOLOv2's permutation of memory (REORG_OLD): mixes channels with positions; `reverse` undoes it."""

    kind: ClassVar[str] = "reorg"
    names: ClassVar[tuple[str, ...]] = ("reorg",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"stride", "reverse"}

    stride: int
    reverse: bool

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Reorg:
        """stride defaults to 1."""
        return cls(options.integer("stride", 1, least=1), options.flag("reverse"))

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """stride**2 times as many channels on a map 1/stride as high and wide, or the reverse."""
        if not self.reverse and shapes[0].channels % (self.stride * self.stride):
            raise ShapeError(f"stride={self.stride} cannot mix its {shapes[0].channels} channels",
                             f"their number must be a multiple of {self.stride * self.stride}")
        return _reorganised(shapes[0], self.stride, self.reverse)

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Fixed."""
        return Fixed("[reorg] mixes channels with positions")


@dataclass(frozen=True, slots=True)
class Reorg3d(Passing):
    """Space to depth (REORG): output channel k holds input channel k % C at pixel offset k // C."""

    kind: ClassVar[str] = "reorg3d"
    names: ClassVar[tuple[str, ...]] = ("reorg3d",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"stride", "reverse"}

    stride: int

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Reorg3d:
        """reverse=1 is refused: Darknet's CPU code writes out of bounds there."""
        if options.flag("reverse"):
            raise options.error("reverse=1 writes out of bounds in Darknet", "use [upsample] instead", "reverse")
        return cls(options.integer("stride", 1, least=1))

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """stride**2 times as many channels on a map 1/stride as high and wide."""
        return _reorganised(shapes[0], self.stride, reverse=False)

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """The input's channels, stride**2 times over."""
        return Same(repeats=self.stride * self.stride)


def _reorganised(x: Shape, stride: int, reverse: bool) -> Shape:
    if reverse:
        if x.channels % (stride * stride):
            raise ShapeError(f"stride={stride} with reverse=1 does not divide its {x.channels} channels",
                             f"their number must be a multiple of {stride * stride}")
        return Shape(x.channels // (stride * stride), x.height * stride, x.width * stride)
    if x.height % stride or x.width % stride:
        raise ShapeError(f"stride={stride} does not divide its {x.width}x{x.height} map",
                         f"use a network size for which the map is a multiple of {stride}")
    return Shape(x.channels * stride * stride, x.height // stride, x.width // stride)
