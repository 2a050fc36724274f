"""Emits the sections of a cfg one after another and knows the index of each layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

AnchorSizes = tuple[tuple[float, float], ...]

@dataclass(frozen=True)
class Settings:
    """What a user chooses about a network, beside its architecture.

    anchor_masks: indices into `anchors` for each head, by its stride.
    """

    classes: int
    anchors: AnchorSizes
    anchor_masks: Mapping[int, tuple[int, ...]]
    width_multiple: float = 1.0
    round_to: int = 8


def scaled_filters(filters: int, width_multiple: float, round_to: int) -> int:
    """`filters` times `width_multiple`, to the nearest multiple of `round_to` (halves go up), at least one of it."""
    return max(round_to, math.floor(filters * width_multiple / round_to + 0.5) * round_to)


class CfgWriter:
    """Collects cfg text. Every method that adds a layer returns the layer's index ([net] is not counted).

    Layers are named by these indices; how they are spelled in the cfg follows the habit of Darknet's own files: what
    belongs to the same block counts back from the layer (`layers=-1,-7`), what joins another part of the network is
    absolute (`layers=-1,61`).
    """

    def __init__(self, settings: Settings, activation: str = "leaky") -> None:
        self.settings = settings
        self.activation = activation  # of the convolutions that follow
        self.last = -2  # [net] makes it -1
        self._lines: list[str] = []

    def comment(self, text: str) -> None:
        """A line for the human reader, above the next section."""
        self._lines.append(f"# {text}")

    def section(self, name: str, options: Mapping[str, object]) -> int:
        """Any section, with its options in the order given."""
        self._lines += [f"[{name}]", *(f"{key}={value}" for key, value in options.items()), ""]
        self.last += 1
        return self.last

    def conv(self, filters: int, size: int, stride: int = 1, *, halvable: bool = False) -> int:
        """Convolution, batch norm and activation; `filters` are those at width 1.

        halvable: a route with groups=2 reads it, so its filters stay even whatever `round_to` is.
        """
        step = self.settings.round_to
        filters = scaled_filters(filters, self.settings.width_multiple, math.lcm(step, 2) if halvable else step)
        return self.section("convolutional", {"batch_normalize": 1, "filters": filters, "size": size,
                                              "stride": stride, "pad": 1, "activation": self.activation})

    def maxpool(self, size: int, stride: int) -> int:
        """Max pooling; Darknet's default padding keeps the size at stride 1."""
        return self.section("maxpool", {"size": size, "stride": stride})

    def upsample(self) -> int:
        """Nearest-neighbour upsampling to twice the size."""
        return self.section("upsample", {"stride": 2})

    def shortcut(self, source: int) -> int:
        """Adds layer `source` to the last one."""
        return self.section("shortcut", {"from": self._back(source), "activation": "linear"})

    def route(self, *near: int, far: Iterable[int] = (), groups: int = 1, group_id: int = 0) -> int:
        """Concatenates layers, or takes part `group_id` of `groups` of the channels of each.

        near: written relative to this layer. far: layers of another part of the network, written absolute, after them.
        """
        layers = [self._back(layer) for layer in near] + list(far)
        options: dict[str, object] = {"layers": ",".join(map(str, layers))}
        if groups > 1:
            options |= {"groups": groups, "group_id": group_id}
        return self.section("route", options)

    def head(self, stride: int, options: Mapping[str, object], activation: str = "linear") -> int:
        """The 1x1 convolution of a head (never scaled, no batch norm) and its [yolo] section.

        options: what the architecture's heads say beside mask, anchors, classes and num.
        """
        chosen = self.settings
        mask = chosen.anchor_masks[stride]
        self.comment(f"head at 1/{stride} of the input")
        self.section("convolutional", {"filters": len(mask) * (5 + chosen.classes), "size": 1, "stride": 1, "pad": 1,
                                       "activation": activation})
        anchors = "  ".join(f"{width:g},{height:g}," for width, height in chosen.anchors).rstrip(",")
        return self.section("yolo", {"mask": ",".join(map(str, mask)), "anchors": anchors, "classes": chosen.classes,
                                     "num": len(chosen.anchors), **options})

    def text(self) -> str:
        """The cfg so far: ASCII, LF."""
        return "\n".join(self._lines)

    def _back(self, layer: int) -> int:
        return layer - (self.last + 1)
