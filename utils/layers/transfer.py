"""Numbers into layer modules and out of them: float32 arrays by name, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from utils.errors import WeightsError
from utils.layers.base import DarknetLayer

Arrays = Mapping[str, np.ndarray]


def fill_layer(layer: DarknetLayer, arrays: Arrays) -> None:
    """Copy arrays into a layer's parameters and statistics; what `arrays` does not name stays as it is.

    Raises:
        WeightsError: an array has another shape than the layer wants, or the layer has none of that name.
    """
    targets = layer.arrays()
    for name, array in arrays.items():
        target = targets.get(name)
        if target is None or tuple(target.shape) != array.shape:
            wanted = "no such array" if target is None else f"shape {tuple(target.shape)}"
            raise WeightsError(layer.section.where, f"layer {layer.section.index} has {wanted} for {name}, "
                               f"the weights hold shape {array.shape}", "use weights of this very cfg")
        _copy(array, target)


def layer_arrays(layer: DarknetLayer) -> dict[str, np.ndarray]:
    """Copies of a layer's arrays, float32 and contiguous, by name and in file order."""
    return {name: np.array(tensor.detach().cpu().float().numpy(), order="C")
            for name, tensor in layer.arrays().items()}


def lacks(layers: Sequence[DarknetLayer], arrays: Sequence[Arrays]) -> bool:
    """Whether filling `layers` with `arrays` would leave some number unset."""
    return any(name not in given for layer, given in zip(layers, arrays, strict=True) for name in layer.arrays())


def _copy(array: np.ndarray, target: Tensor) -> None:
    if target.device.type == "cpu" and target.dtype == torch.float32:
        np.copyto(target.detach().numpy(), array)  # torch.from_numpy would warn of arrays that are read-only
        return
    with torch.no_grad():
        target.copy_(torch.from_numpy(np.array(array)))
