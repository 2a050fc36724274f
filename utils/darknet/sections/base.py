"""What every kind of section answers: its inputs, its output's shape, its costs, its arrays and its channel rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from utils.darknet.option_reader import OptionReader
from utils.darknet.rules import Rule, Same
from utils.darknet.shape import IMAGE, Shape

# Read for a section of any kind by parse_network_cfg_custom.
KEYS_OF_ALL = frozenset({"clip", "onlyforward", "dont_update", "burnin_update", "stopbackward", "train_only_bn",
                         "dontload", "dontloadscales", "learning_rate"})


class ShapeError(Exception):
    """Maps that do not fit together; the network adds the line and raises a CfgError."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """An array that a layer owns: its name and shape, and whether a .weights file stores it.

    file_shape: the shape in the file where it differs (a `flipped` kernel is stored transposed).
    """

    name: str
    shape: tuple[int, ...]
    stored: bool = True
    file_shape: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        """How many floats it holds."""
        total = 1
        for side in self.shape:
            total *= side
        return total


class Section(Protocol):
    """A row of the table of section kinds: a frozen data class of options, and these answers.

    `shapes` are the shapes of the layer's inputs, in the order of `inputs`.
    """

    kind: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    keys: ClassVar[frozenset[str]]

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Section:
        """The options of the section that is layer `index`; CfgError for a value that cannot be meant."""
        ...

    def inputs(self, index: int) -> tuple[int, ...]:
        """The layers that layer `index` reads."""
        ...

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of its output; ShapeError where the inputs do not fit."""
        ...

    def arrays(self, shapes: Sequence[Shape]) -> tuple[ArraySpec, ...]:
        """Its arrays, in the order of a .weights file."""
        ...

    def macs(self, shapes: Sequence[Shape]) -> int:
        """Multiply-adds of its kernel for one image."""
        ...

    def bflops(self, shapes: Sequence[Shape]) -> float:
        """Billions of operations, as Darknet prints them when it loads a cfg."""
        ...

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """How channels pass through it."""
        ...


class Passing:
    """Defaults of a section without arrays: it reads the layer before it and gives a map of the same shape."""

    kind: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    keys: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Section:
        """No options."""
        return cls()

    def inputs(self, index: int) -> tuple[int, ...]:
        """The layer before."""
        return (index - 1 if index else IMAGE,)

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the input."""
        return shapes[0]

    def arrays(self, shapes: Sequence[Shape]) -> tuple[ArraySpec, ...]:
        """None."""
        return ()

    def macs(self, shapes: Sequence[Shape]) -> int:
        """Zero: only kernels are counted."""
        return 0

    def bflops(self, shapes: Sequence[Shape]) -> float:
        """Zero: Darknet counts nothing for this kind."""
        return 0.0

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Channel by channel."""
        return Same()


def reference(options: OptionReader, key: str, value: int, index: int) -> int:
    """The layer that a reference means: negative ones count back from layer `index`; CfgError if it is not earlier."""
    source = index + value if value < 0 else value
    if source == index:
        raise options.error(f"{key}={value} is the layer itself (layer {index})",
                            "name an earlier layer", key)
    if source < 0:
        raise options.error(f"{key}={value} points before the first layer (this is layer {index})",
                            f"use -1 to -{index}, or 0 to {index - 1}" if index else "layer 0 has nothing to refer to",
                            key)
    if source > index:
        raise options.error(f"{key}={value} points to layer {source}, which comes after this one (layer {index})",
                            "a layer can only read earlier ones", key)
    return source


def pooled(side: int, size: int, stride: int, padding: int) -> int:
    """Positions of a window of `size` along `side` pixels with `padding` pixels in all."""
    return (side + padding - size) // stride + 1
