"""How channels pass through a layer: six rules from which the channel groups of any cfg follow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fresh:
    """The layer makes its own channels (convolution).

    With blocks > 1 (grouped convolution) the channels that it reads, and those that it makes, form that many equal
    blocks, and each block must keep the same number.
    """

    blocks: int = 1


@dataclass(frozen=True, slots=True)
class Same:
    """Channel by channel (pooling, upsampling, depthwise convolution).

    multiplier: output channels c*multiplier .. c*multiplier + multiplier-1 belong to input channel c (depthwise).
    repeats: the output is the input's channel list that many times over (reorg3d).
    """

    multiplier: int = 1
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Tied:
    """Position by position over all inputs (shortcut, sam, scale_channels).

    Inputs of unequal width are tied as far as the narrower one goes. The output is the channel list of
    `inputs[like]`.
    """

    like: int = 0


@dataclass(frozen=True, slots=True)
class Concat:
    """The inputs' channels one after the other (route)."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Block `group_id` of `groups` equal blocks of each input, one after the other (route with groups).

    Every block of an input must keep the same number of channels, or the cut moves.
    """

    groups: int
    group_id: int


@dataclass(frozen=True, slots=True)
class Fixed:
    """Neither what the layer reads nor what it gives can lose a channel, for the reason given."""

    reason: str


Rule = Fresh | Same | Tied | Concat | Slice | Fixed
