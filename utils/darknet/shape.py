"""The size of a map, and the number by which the network's input is called among layers."""

from __future__ import annotations

from dataclasses import dataclass

IMAGE = -1  # stands for the network's input wherever a layer index is expected


@dataclass(frozen=True, slots=True)
class Shape:
    """Channels, rows and columns of one image's feature map."""

    channels: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """How many numbers the map holds."""
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"
