"""What every layer module has in common: its section, and the numbers that it keeps in a .weights file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from utils.darknet import Layer
from utils.errors import CfgError

Module = TypeVar("Module", bound=nn.Module)


class DarknetLayer(nn.Module):
    """One section of a cfg. `forward` takes the tensors of `section.inputs` in order, (N, C, H, W) each."""

    def __init__(self, section: Layer) -> None:
        super().__init__()
        self.section = section

    def arrays(self) -> Mapping[str, Tensor]:
        """The parameters and buffers that a .weights file stores, by array name, in file order; {} if it has none."""
        return {}

    def extra_repr(self) -> str:
        return f"{self.section.index}: {self.section.shape}"

    def error(self, problem: str, remedy: str) -> CfgError:
        """A CfgError at the line of this section."""
        return CfgError(self.section.where, f"[{self.section.kind}] {problem}", remedy)


@dataclass(frozen=True)
class Surroundings:
    """What a layer may need to know while it is built.

    earlier: the modules of the layers before it (share_index points there).
    darknet_cpu: reproduce the activations that AlexeyAB's CPU build answers with 0.
    """

    earlier: Sequence[nn.Module] = ()
    darknet_cpu: bool = False


def channels_last(module: Module) -> Module:
    """The module, its kernels laid out in memory as convolutions are fast with, in place."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types forget this form


def same_size(layer: DarknetLayer, inputs: Sequence[Tensor]) -> None:
    """Check that maps which meet have equal height and width.

    Raises:
        CfgError: they have not, which happens when the image size is no multiple of the network's stride.
    """
    sizes = [tuple(x.shape[-2:]) for x in inputs]
    if any(size != sizes[0] for size in sizes):
        met = ", ".join(f"layer {index} ({height}x{width})" if index >= 0 else f"the image ({height}x{width})"
                        for index, (height, width) in zip(layer.section.inputs, sizes, strict=True))
        raise layer.error(f"meets maps of unequal height x width: {met}",
                          "choose an image height and width that the network's stride (mostly 32) divides")
