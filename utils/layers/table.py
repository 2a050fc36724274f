"""The table of layer modules: one builder for each kind of section. A new kind is a class and a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from torch import nn

from utils.darknet import Layer
from utils.layers.base import DarknetLayer, Surroundings
from utils.layers.convolution import build_convolutional
from utils.layers.heads import build_head
from utils.layers.joining import build_route, build_sam, build_scale_channels, build_shortcut
from utils.layers.normalisation import build_batchnorm
from utils.layers.plain import (
    build_activation,
    build_connected,
    build_dropout,
    build_empty,
    build_implicit,
    build_softmax,
)
from utils.layers.pooling import build_avgpool, build_local_avgpool, build_maxpool
from utils.layers.rearranging import build_reorg, build_reorg3d, build_upsample

Builder = Callable[[Layer, Surroundings], DarknetLayer]

LAYERS: Mapping[str, Builder] = MappingProxyType({
    "convolutional": build_convolutional,
    "connected": build_connected,
    "batchnorm": build_batchnorm,
    "activation": build_activation,
    "implicit": build_implicit,
    "maxpool": build_maxpool,
    "local_avgpool": build_local_avgpool,
    "avgpool": build_avgpool,
    "route": build_route,
    "shortcut": build_shortcut,
    "scale_channels": build_scale_channels,
    "sam": build_sam,
    "upsample": build_upsample,
    "reorg": build_reorg,
    "reorg3d": build_reorg3d,
    "dropout": build_dropout,
    "empty": build_empty,
    "softmax": build_softmax,
    "yolo": build_head,
    "gaussian_yolo": build_head,
    "region": build_head,
})


def build_layer(layer: Layer, earlier: Sequence[nn.Module] = (), *, darknet_cpu: bool = False,
                table: Mapping[str, Builder] = LAYERS) -> DarknetLayer:
    """One layer of a network as a module, its parameters not yet filled in.

    Args:
        layer: the layer of a `Network`.
        earlier: modules of the layers before it; share_index refers to them.
        darknet_cpu: give zeros for the activations that AlexeyAB's CPU build lacks (relu6 and, in some sections, more).
        table: the builders, by kind; pass {**LAYERS, "mine": ...} to add a kind of your own.

    Returns:
        A module whose `forward` takes the tensors of `layer.inputs` in order, (N, C, H, W) each.

    Raises:
        CfgError: no row of the table builds this kind.
    """
    if layer.kind not in table:
        raise DarknetLayer(layer).error("has no torch module", "add a builder for it to the table of layers")
    return table[layer.kind](layer, Surroundings(earlier, darknet_cpu))
