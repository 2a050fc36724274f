"""Which cfgs pjreddie's Darknet of 2018 (Debian's package) computes as AlexeyAB's does.

It refuses nothing: an unknown activation becomes relu, an unknown option is ignored, an unknown section is left out.
Found by running the package on one-feature networks whose outputs AlexeyAB's Darknet recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from utils.darknet import Layer, Network
from utils.darknet.document import Section

_SECTIONS = frozenset({"convolutional", "conv", "connected", "conn", "activation", "maxpool", "max", "avgpool", "avg",
                       "dropout", "softmax", "soft", "route", "shortcut", "upsample", "reorg", "region", "yolo"})
_ACTIVATIONS = frozenset({"logistic", "relu", "relie", "linear", "ramp", "tanh", "plse", "leaky", "elu", "loggy",
                          "stair", "hardtan", "lhtan", "selu"})

Problem = tuple[int, str]


def darknet_problems(network: Network) -> list[str]:
    """Why Darknet of 2018 would compute something else from this cfg; `path:line: ...`, empty if it would not."""
    found: list[Problem] = []
    carriage = next((n for n, raw in enumerate(network.document.lines, start=1) if "\r" in raw), None)
    if carriage is not None:
        found.append((carriage, "it stumbles over Windows line ends (CR LF), save the file with LF"))
    for layer, section in zip(network.layers, network.document.sections[1:], strict=True):
        found += _problems_of_layer(layer, section)
    return [f"Darknet of 2018 cannot run this cfg: {network.document.where(line)}: {text}"
            for line, text in sorted(found)]


def _problems_of_layer(layer: Layer, section: Section) -> Iterator[Problem]:
    if section.name not in _SECTIONS:
        yield section.line, f"[{section.name}] is unknown to it"
        return
    activation = getattr(layer.options, "activation", "linear")
    if activation not in _ACTIVATIONS:
        yield _line(section, "activation"), f"it takes relu for activation={activation}"
    for key, is_used in _USES.get(layer.kind, {}).items():
        if is_used(layer):
            yield _line(section, key), f"it ignores {key}="
    if layer.kind == "convolutional" and layer.options.size == 1 and max(_strides(layer)) > 1:
        yield _line(section, "stride"), "it takes a 1x1 convolution's input as it is, whatever the stride"
    if getattr(layer.options, "batch_normalize", False) and (section.get("batch_normalize") or "0").startswith("0"):
        yield _line(section, "cbn"), "it ignores cbn="
    for key in ("alpha", "beta"):
        if layer.kind == "shortcut" and section.get(key) not in (None, "1"):
            yield _line(section, key), f"it multiplies by {key}=, AlexeyAB's Darknet does not"


def _line(section: Section, key: str) -> int:
    option = section.by_key.get(key)
    return option.line if option else section.line


def _strides(layer: Layer) -> tuple[int, int]:
    return layer.options.stride_x, layer.options.stride_y


def _own_stride(layer: Layer) -> bool:
    return layer.options.stride_x != layer.options.stride_y


Uses = Mapping[str, Callable[[Layer], bool]]

_USES: Mapping[str, Uses] = {
    "convolutional": {
        "dilation": lambda layer: layer.options.dilation != 1,
        "stride_x": _own_stride,
        "antialiasing": lambda layer: layer.options.antialiasing != 0,
        "share_index": lambda layer: layer.options.share_index is not None,
        "dontload": lambda layer: layer.options.dontload,
        "dontloadscales": lambda layer: layer.options.dontloadscales,
    },
    "maxpool": {
        "stride_x": _own_stride,
        "maxpool_depth": lambda layer: layer.options.maxpool_depth,
        "antialiasing": lambda layer: layer.options.antialiasing != 0,
    },
    "route": {"groups": lambda layer: layer.options.groups > 1},
    "shortcut": {
        "from": lambda layer: len(layer.inputs) > 2,
        "weights_type": lambda layer: layer.options.weights_type != "none",
    },
    "yolo": {
        "scale_x_y": lambda layer: layer.options.scale_x_y != 1,
        "new_coords": lambda layer: layer.options.new_coords,
    },
}
