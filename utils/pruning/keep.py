"""Which channels of one layer survive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.errors import PlanError


@dataclass(frozen=True, slots=True)
class Keep:
    """The output channels of one layer that survive, in their old order.

    filters: the layer's width before pruning. channels: strictly increasing, each in [0, filters).

    Raises:
        PlanError: no channel is left, or the channels are not as said above.
    """

    filters: int
    channels: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.channels:
            raise PlanError("", f"all {self.filters} channels of a layer would go",
                            "keep at least one; a whole layer cannot be removed this way")
        if any(b <= a for a, b in zip(self.channels, self.channels[1:], strict=False)):
            raise PlanError("", f"channels {_shown(self.channels)} do not strictly increase",
                            "list each kept channel once, in ascending order")
        if self.channels[0] < 0 or self.channels[-1] >= self.filters:
            raise PlanError("", f"channels {_shown(self.channels)} do not all lie in [0, {self.filters})",
                            "channels count from 0, and filters= is the width before pruning")

    @classmethod
    def all(cls, filters: int) -> Keep:
        """Every channel of a layer."""
        return cls(filters, tuple(range(filters)))

    @classmethod
    def of_flags(cls, flags: np.ndarray) -> Keep:
        """From a bool per channel, shape (filters,); True survives."""
        return cls(len(flags), tuple(np.flatnonzero(flags).tolist()))

    @property
    def flags(self) -> np.ndarray:
        """A bool per channel, shape (filters,); True survives."""
        flags = np.zeros(self.filters, dtype=bool)
        flags[list(self.channels)] = True
        return flags

    @property
    def is_whole(self) -> bool:
        """Whether every channel survives."""
        return len(self.channels) == self.filters

    def __len__(self) -> int:
        return len(self.channels)

    def __or__(self, other: Keep) -> Keep:
        """The union, as a [shortcut] needs it: kept if either side keeps it."""
        if other.filters != self.filters:
            raise PlanError("", f"widths {self.filters} and {other.filters} cannot be merged",
                            "merge layers of one width only")
        return Keep(self.filters, tuple(sorted({*self.channels, *other.channels})))


def _shown(channels: tuple[int, ...]) -> str:
    if len(channels) <= 8:
        return str(list(channels))
    return f"[{', '.join(map(str, channels[:4]))}, ..., {', '.join(map(str, channels[-2:]))}]"
