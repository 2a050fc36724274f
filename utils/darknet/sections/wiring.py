"""Sections that join layers: [route], [shortcut], [scale_channels], [sam]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from utils.darknet.activations import ACTIVATIONS
from utils.darknet.option_reader import OptionReader
from utils.darknet.rules import Concat, Fixed, Rule, Slice, Tied
from utils.darknet.sections.base import KEYS_OF_ALL, ArraySpec, Passing, ShapeError, reference
from utils.darknet.shape import IMAGE, Shape


@dataclass(frozen=True, slots=True)
class Route(Passing):
    """Concatenation of earlier layers, or of one block of each (route_layer.c)."""

    kind: ClassVar[str] = "route"
    names: ClassVar[tuple[str, ...]] = ("route",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"layers", "groups", "group_id", "stream", "wait_stream"}

    layers: tuple[int, ...]
    groups: int
    group_id: int

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Route:
        """`layers` may be absolute or relative; group_id counts from 0."""
        layers = tuple(reference(options, "layers", value, index) for value in options.integers("layers"))
        if not layers:
            raise options.error("names no layers", "add layers=-1 or a list of earlier layers", "layers")
        groups = options.integer("groups", 1, least=1)
        group_id = options.integer("group_id", 0, least=0)
        if group_id >= groups:
            raise options.error(f"group_id={group_id} does not exist in groups={groups}",
                                f"use 0 to {groups - 1}", "group_id")
        return cls(layers, groups, group_id)

    def inputs(self, index: int) -> tuple[int, ...]:
        """The layers named."""
        return self.layers

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """All channels, at the inputs' common size."""
        _same_size("concatenates", self.layers, shapes)
        for source, shape in zip(self.layers, shapes, strict=True):
            if shape.channels % self.groups:
                raise ShapeError(f"splits the {shape.channels} channels of layer {source} into groups={self.groups}",
                                 "choose groups= that divides them")
        return Shape(sum(s.channels // self.groups for s in shapes), shapes[0].height, shapes[0].width)

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Concatenation, of blocks where it has groups."""
        return Concat() if self.groups == 1 else Slice(self.groups, self.group_id)


@dataclass(frozen=True, slots=True)
class Shortcut(Passing):
    """Sum of the layer before and of earlier ones, weighted or not (shortcut_layer.c, shortcut_multilayer_cpu).

    Sources of another width add only the channels that both have.
    """

    kind: ClassVar[str] = "shortcut"
    names: ClassVar[tuple[str, ...]] = ("shortcut",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"from", "activation", "weights_type", "weights_normalization"}

    sources: tuple[int, ...]
    activation: str
    weights_type: str
    weights_normalization: str

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Shortcut:
        """per_layer means per_feature, avg_relu means relu; weights without normalisation are refused, as in Darknet."""
        sources = tuple(reference(options, "from", value, index) for value in options.integers("from"))
        if not sources:
            raise options.error("names no layer to add", "add from=-3 or another earlier layer", "from")
        if index == 0:
            raise options.error("cannot be the first layer", "put a layer before it")
        weights_type = options.word("weights_type", "none", ("none", "per_feature", "per_layer", "per_channel"))
        normalization = options.word("weights_normalization", "none", ("none", "relu", "avg_relu", "softmax"))
        if weights_type != "none" and normalization == "none":
            raise options.error(f"weights_type={weights_type} needs weights_normalization=",
                                "add weights_normalization=relu or softmax", "weights_type")
        return cls(sources, options.activation("linear"),
                   "per_feature" if weights_type == "per_layer" else weights_type,
                   "relu" if normalization == "avg_relu" else normalization)

    def inputs(self, index: int) -> tuple[int, ...]:
        """The layer before, then the sources."""
        return (index - 1, *self.sources)

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the layer before; all heights and widths must agree."""
        _same_size("adds", (-1, *self.sources), shapes)
        return shapes[0]

    def arrays(self, shapes: Sequence[Shape]) -> tuple[ArraySpec, ...]:
        """One weight per input, or per input and channel."""
        if self.weights_type == "none":
            return ()
        one = (len(shapes),) if self.weights_type == "per_feature" else (len(shapes), shapes[0].channels)
        return (ArraySpec("weight", one),)

    def bflops(self, shapes: Sequence[Shape]) -> float:
        """One addition per source and value."""
        return shapes[0].size * len(self.sources) / 1e9

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """All inputs tied."""
        if ACTIVATIONS[self.activation].over_channels:
            return Fixed(f"activation={self.activation} mixes all channels of a pixel")
        return Tied()


@dataclass(frozen=True, slots=True)
class ScaleChannels(Passing):
    """An earlier layer times the layer before: one factor per channel, or with scale_wh one per pixel."""

    kind: ClassVar[str] = "scale_channels"
    names: ClassVar[tuple[str, ...]] = ("scale_channels",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"from", "scale_wh", "activation"}

    source: int
    scale_wh: bool
    activation: str

    @classmethod
    def read(cls, options: OptionReader, index: int) -> ScaleChannels:
        """`from` names the map that is scaled."""
        return cls(_one_source(options, index), options.flag("scale_wh"), options.activation("linear"))

    def inputs(self, index: int) -> tuple[int, ...]:
        """The layer before (the factors), then the source."""
        return (index - 1 if index else IMAGE, self.source)

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the source."""
        factors, x = shapes
        wanted = Shape(1, x.height, x.width) if self.scale_wh else Shape(x.channels, 1, 1)
        if factors != wanted:
            raise ShapeError(f"scales layer {self.source} ({x}) by factors of {factors}",
                             f"the layer before must be {wanted}")
        return x

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Factors and source tied."""
        if self.scale_wh:
            return Fixed("scale_wh multiplies all channels by one map")
        if ACTIVATIONS[self.activation].over_channels:
            return Fixed(f"activation={self.activation} mixes all channels of a pixel")
        return Tied(like=1)


@dataclass(frozen=True, slots=True)
class Sam(Passing):
    """The layer before times an earlier one, value by value."""

    kind: ClassVar[str] = "sam"
    names: ClassVar[tuple[str, ...]] = ("sam",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {"from", "activation"}

    source: int
    activation: str

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Sam:
        """`from` names the other factor."""
        return cls(_one_source(options, index), options.activation("linear"))

    def inputs(self, index: int) -> tuple[int, ...]:
        """The layer before, then the source."""
        return (index - 1 if index else IMAGE, self.source)

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """The common shape."""
        if shapes[0] != shapes[1]:
            raise ShapeError(f"multiplies maps of {shapes[0]} and {shapes[1]} (layer {self.source})",
                             "both must have the same shape")
        return shapes[1]

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Both tied."""
        if ACTIVATIONS[self.activation].over_channels:
            return Fixed(f"activation={self.activation} mixes all channels of a pixel")
        return Tied()


def _one_source(options: OptionReader, index: int) -> int:
    values = options.integers("from")
    if len(values) != 1:
        raise options.error("needs exactly one from=", "name the one layer that it combines with", "from")
    return reference(options, "from", values[0], index)


def _same_size(verb: str, sources: Sequence[int], shapes: Sequence[Shape]) -> None:
    sizes = {(s.height, s.width) for s in shapes}
    if len(sizes) > 1:
        listed = ", ".join(f"{'the layer before' if source == -1 else f'layer {source}'} ({s.width}x{s.height})"
                           for source, s in zip(sources, shapes, strict=True))
        raise ShapeError(f"{verb} maps of unequal width x height: {listed}", "give them the same stride")
