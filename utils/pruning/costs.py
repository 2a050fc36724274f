"""What a plan saved: parameters, operations and widths of a network before and after."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from utils.darknet import Header, Network
from utils.pruning.groups import channel_groups
from utils.pruning.plan import Plan
from utils.pruning.selection import chosen_blocks, removed_layers


@dataclass(frozen=True)
class LayerWidth:
    """A convolution's channels before and after, 0 where it went; layer is its index in the network before."""

    layer: int
    before: int
    after: int


@dataclass(frozen=True)
class NetworkCost:
    """What one network costs.

    parameters: numbers in the .weights file. macs: multiply-adds for one image. bflops: billions of operations as
    Darknet prints them. weights_bytes: size of the .weights file. channels: of all convolutions together.
    """

    parameters: int
    macs: int
    bflops: float
    weights_bytes: int
    channels: int

    @classmethod
    def of(cls, network: Network) -> NetworkCost:
        """At the input size of the network's [net]."""
        channels = sum(layer.shape.channels for layer in network.layers if layer.kind == "convolutional")
        size = len(Header().to_bytes()) + 4 * network.parameters
        return cls(network.parameters, network.macs, network.bflops, size, channels)


@dataclass(frozen=True)
class PruningSummary:
    """A network before and after its surgery. Shares are of what was there before, in [0, 1].

    asked_share: the strategy's percent, None if it has none. removed_share: of the convolutions' channels that are not
    fixed, how many went. removed_channels_share: of all convolutions' channels. removed_parameters_share, removed_bflops_share: of the
    costs. widths: one entry per convolution, in cfg order. blocks: the layers of each residual block that went, the last of
    them its [shortcut].
    """

    strategy: str
    before: NetworkCost
    after: NetworkCost
    asked_share: float | None
    removed_share: float
    removed_channels_share: float
    removed_parameters_share: float
    removed_bflops_share: float
    widths: tuple[LayerWidth, ...]
    blocks: tuple[tuple[int, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, as JSON takes them."""
        return asdict(self)


def summarize(before: Network, after: Network, plan: Plan, adders: Collection[int] = ()) -> PruningSummary:
    """Compare two networks, `after` being `before` cut by `plan`; costs are at each network's own input size.

    adders: the [shortcut]s of `before` in whose place `after` has an adder, as `carried_out` tells.
    """
    blocks = chosen_blocks(before, plan.blocks)
    gone = removed_layers(blocks) - set(adders)
    left = iter(after.layers)
    pairs = [(layer, None if layer.index in gone else next(left)) for layer in before.layers]
    widths = tuple(LayerWidth(old.index, old.shape.channels, new.shape.channels if new else 0)
                   for old, new in pairs if old.kind == "convolutional")
    old, new = NetworkCost.of(before), NetworkCost.of(after)
    groups = channel_groups(before)
    prunable = sum(int((~groups.fixed[groups.vectors[width.layer]]).sum()) for width in widths)
    return PruningSummary(
        strategy=plan.strategy,
        before=old,
        after=new,
        asked_share=_asked(plan.parameters),
        removed_share=(old.channels - new.channels) / prunable if prunable else 0.0,
        removed_channels_share=_lost(old.channels, new.channels),
        removed_parameters_share=_lost(old.parameters, new.parameters),
        removed_bflops_share=_lost(old.bflops, new.bflops),
        widths=widths,
        blocks=tuple(block.layers for block in blocks),
    )


def _asked(parameters: Mapping[str, Any]) -> float | None:
    for name in ("global_percent", "percent"):
        if isinstance(parameters.get(name), (int, float)):
            return float(parameters[name])
    return None


def _lost(before: float, after: float) -> float:
    return 1 - after / before if before else 0.0
