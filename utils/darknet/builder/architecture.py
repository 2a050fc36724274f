"""What an architecture is: its name, input size, anchors, heads and training options, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from utils.darknet.builder.writer import AnchorSizes, CfgWriter

# k-means of the COCO boxes, (width, height) in pixels of the network's input, smallest first.
ANCHORS_416: AnchorSizes = ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198),
                            (373, 326))
ANCHORS_512: AnchorSizes = ((12, 16), (19, 36), (40, 28), (36, 75), (76, 55), (72, 146), (142, 110), (192, 243),
                            (459, 401))
ANCHORS_TINY: AnchorSizes = ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319))


@dataclass(frozen=True, slots=True)
class Head:
    """One [yolo] section: pixels per cell, and which of the architecture's anchors it predicts."""

    stride: int
    anchor_mask: tuple[int, ...]


@dataclass(frozen=True)
class Training:
    """The training options of [net] that differ between architectures; Darknet uses them, inference does not."""

    subdivisions: int
    learning_rate: str = "0.001"
    momentum: str = "0.9"
    max_batches: int = 500200
    steps: tuple[int, int] = (400000, 450000)
    more: Mapping[str, str] = field(default_factory=dict)  # further options of [net], such as mosaic=1


@dataclass(frozen=True)
class Architecture:
    """A network that `build_cfg` can write.

    width, height: default input, pixels. anchors: (width, height) in pixels of that input. heads: in cfg order.
    draw: emits all sections after [net].
    """

    name: str
    description: str
    width: int
    height: int
    anchors: AnchorSizes
    heads: tuple[Head, ...]
    training: Training
    draw: Callable[[CfgWriter], None]

    @property
    def stride(self) -> int:
        """Input sides must be multiples of this, pixels."""
        return max(head.stride for head in self.heads)

    def anchor_masks(self, anchors: AnchorSizes) -> dict[int, tuple[int, ...]]:
        """Which anchors each head gets, by its stride.

        The architecture's own anchors keep its own masks (yolov4-tiny gives 1,2,3 to its finer head). Other anchors
        are dealt out in their order, equally many per head, the first to the finest.
        """
        if anchors == self.anchors:
            return {head.stride: head.anchor_mask for head in self.heads}
        each = len(anchors) // len(self.heads)
        return {stride: tuple(range(i * each, (i + 1) * each))
                for i, stride in enumerate(sorted(head.stride for head in self.heads))}
