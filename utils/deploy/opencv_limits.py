"""Which cfgs OpenCV's Darknet importer refuses, and which it loads and then computes otherwise than Darknet.

Found by running OpenCV 4.12 and 4.14 on one-feature networks whose outputs Darknet recorded; tests/deploy repeats it.
The importer (modules/dnn/src/darknet/darknet_io.cpp) knows fewer sections and options than Darknet, has defaults of
its own, and lets the last of two equal keys win where Darknet takes the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from utils.darknet import Layer, Network
from utils.darknet.document import Option, Section

_SECTIONS = frozenset({"convolutional", "connected", "maxpool", "avgpool", "softmax", "route", "dropout", "reorg",
                       "region", "shortcut", "scale_channels", "sam", "upsample", "yolo"})
_ACTIVATIONS = frozenset({"linear", "leaky", "relu", "logistic", "tanh", "swish", "mish"})
_WITH_ACTIVATION = frozenset({"convolutional", "connected", "shortcut", "scale_channels", "sam"})
_WITH_CONNECTED = frozenset({"connected", "convolutional", "maxpool", "avgpool", "dropout", "softmax"})
_AFTER_CONNECTED = frozenset({"connected", "dropout", "softmax"})

Problem = tuple[int, str]  # line, what is wrong


def opencv_problems(network: Network) -> list[str]:
    """Why OpenCV 4 cannot run this cfg, or would silently compute something else; `path:line: ...`, empty if it can."""
    found = [*_problems_of_text(network)]
    for layer, section in zip(network.layers, network.document.sections[1:], strict=True):
        found += _problems_of_layer(network, layer, section)
    return [f"OpenCV cannot run this cfg: {network.document.where(line)}: {text}"
            for line, text in sorted(found)]


def _problems_of_text(network: Network) -> Iterator[Problem]:
    first = network.document.sections[0]
    if first.name != "net":
        yield first.line, f"[{first.name}] is unknown to it, write [net]"
    if network.document.lines[0].startswith("\xef\xbb\xbf"):
        yield 1, "the byte order mark hides [net] from it, save the file without"
    for number, raw in enumerate(network.document.lines, start=1):
        text = raw.strip()
        if text and text[0] not in "#;[\0" and "=" not in text:
            yield number, f"it stops at a line without '=': {text[:40]}"
    for section in network.document.sections:
        for option in section.options:
            if section.by_key[option.key] is not option and section.by_key[option.key].value != option.value:
                yield option.line, f"{option.key}= is there twice; it takes the second, Darknet the first"
            elif not option.value:
                yield option.line, f"{option.key}= has no value; it takes its own default, Darknet 0"


def _problems_of_layer(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    line = section.line
    if section.name not in _SECTIONS:
        canonical = f", write [{layer.kind}]" if layer.kind in _SECTIONS else ""
        yield line, f"[{section.name}] is unknown to it{canonical}"
        return
    activation = getattr(layer.options, "activation", "linear")
    if activation not in _ACTIVATIONS:
        yield _line(section, "activation"), f"activation={activation} is unknown to it"
    if layer.kind not in _WITH_ACTIVATION and section.get("activation", "linear") != "linear":
        yield _line(section, "activation"), f"it applies activation= in [{section.name}], Darknet does not"
    flat = [source for source in layer.inputs if source >= 0 and _is_flat(network, source)]
    if flat and layer.kind not in _AFTER_CONNECTED:
        yield line, f"[{section.name}] cannot read layer {flat[0]}, which has no height and width there"
    check = _CHECKS.get(layer.kind)
    if check is not None:
        yield from check(network, layer, section)


def _is_flat(network: Network, index: int) -> bool:
    """Whether a layer's output is a list of numbers in OpenCV: [connected], and what passes it on."""
    layer = network.layers[index]
    if layer.kind in ("dropout", "softmax") and layer.inputs[0] >= 0:
        return _is_flat(network, layer.inputs[0])
    return layer.kind == "connected"


def _line(section: Section, key: str) -> int:
    option: Option | None = section.by_key.get(key)
    return option.line if option else section.line


def _ignored(section: Section, key: str) -> Problem:
    return _line(section, key), f"it ignores {key}="


def _required(section: Section, *keys: str) -> Iterator[Problem]:
    for key in keys:
        if section.get(key) is None:
            yield section.line, f"[{section.name}] needs {key}= there, Darknet does not"


def _default(section: Section, key: str, theirs: str, darknets: str) -> Iterator[Problem]:
    if section.get(key) is None:
        yield section.line, f"[{section.name}] without {key}= means {theirs} there and {darknets} in Darknet"


def _convolutional(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    o = layer.options
    yield from _required(section, "filters", "size")
    yield from _default(section, "activation", "linear", "logistic")
    yield from _batch_norm_flag(section)
    wrong = {
        "dilation": o.dilation != 1,
        "stride_x": o.stride_x != o.stride_y,
        "antialiasing": bool(o.antialiasing),
        "share_index": o.share_index is not None,
        "dontload": o.dontload,
        "dontloadscales": o.dontloadscales,
        "cbn": section.get("cbn", "0") != "0" and section.get("batch_normalize", "0") != "1",
        "flipped": o.flipped,
    }
    yield from (_ignored(section, key) for key, is_so in wrong.items() if is_so)
    if not wrong["stride_x"] and str(o.stride_x) != _number(section, "stride", "1"):
        yield _ignored(section, "stride_x")
    x = layer.input_shapes[0]
    if o.size == 3 and 1 < o.groups == x.channels and 1 in (x.height, x.width):
        yield section.line, f"its 3x3 depthwise convolution reads past a map of {x.width}x{x.height}"


def _connected(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    yield from _required(section, "output")
    yield from _default(section, "activation", "linear", "logistic")
    yield from _batch_norm_flag(section)
    if layer.options.batch_normalize:
        yield _line(section, "batch_normalize"), "it reads a [connected] layer's batch norm in another order"
    others = {other.kind for other in network.layers} - _WITH_CONNECTED
    if others:
        yield section.line, f"it loses track of sizes in a cfg with both [connected] and [{min(others)}]"


def _batch_norm_flag(section: Section) -> Iterator[Problem]:
    if _number(section, "batch_normalize", "0") not in ("0", "1"):
        yield _line(section, "batch_normalize"), "it takes batch_normalize= for 0 unless it is 1"


def _maxpool(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    o = layer.options
    if section.get("size") is None and o.size != 2:
        yield from _default(section, "size", "2", str(o.size))
    if section.get("stride") is None and section.get("stride_x") is None and o.stride_x != 2:
        yield from _default(section, "stride", "2", str(o.stride_x))
    if o.stride_x != o.stride_y or str(o.stride_x) != _number(section, "stride", str(o.stride_x)):
        yield _ignored(section, "stride_x" if section.get("stride_x") else "stride_y")
    elif section.get("stride") is None and section.get("stride_x") is not None and o.stride_x != 2:
        yield _ignored(section, "stride_x")
    if o.padding - o.padding // 2 >= o.size:
        yield _line(section, "padding"), "it cannot pool windows that lie outside the map"
    if o.maxpool_depth:
        yield _ignored(section, "maxpool_depth")
    if o.antialiasing:
        yield _ignored(section, "antialiasing")


def _route(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    if layer.options.groups > 1 and len(layer.inputs) > 1:
        yield _line(section, "groups"), "it splits several layers with groups= otherwise than Darknet"


def _shortcut(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    if len(layer.inputs) > 2:
        yield _line(section, "from"), "it adds only the first layer of from="
    if layer.options.weights_type != "none":
        yield _ignored(section, "weights_type")
    if section.get("alpha") not in (None, "1"):
        yield _line(section, "alpha"), "it multiplies by alpha=, Darknet does not"


def _scale_channels(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    if layer.options.scale_wh:
        yield _line(section, "scale_wh"), "it does not know scale_wh="


def _upsample(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    if layer.options.stride != 1:
        yield from _default(section, "stride", "1", "2")
    if layer.options.scale != 1:
        yield _ignored(section, "scale")


def _reorg(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    if layer.options.stride != 2:
        yield from _default(section, "stride", "2", "1")
    if layer.options.reverse:
        yield _ignored(section, "reverse")


def _softmax(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    if layer.options.groups != 1:
        yield _line(section, "groups"), "it has no softmax with groups="
    if layer.options.temperature != 1:
        yield _ignored(section, "temperature")
    if (layer.shape.height, layer.shape.width) != (1, 1):
        yield section.line, "it takes the softmax of each pixel, Darknet of the whole map"


def _dropout(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    if layer.index == 0:
        yield section.line, "[dropout] cannot be the first layer there"


def _yolo(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    yield from _required(section, "classes", "num", "mask", "anchors")
    yield from _anchors(layer, section)


def _region(network: Network, layer: Layer, section: Section) -> Iterator[Problem]:
    yield from _required(section, "classes", "num", "anchors")
    yield from _anchors(layer, section)
    if not layer.options.softmax:
        yield _line(section, "softmax"), "it refuses a [region] without softmax=1"


def _anchors(layer: Layer, section: Section) -> Iterator[Problem]:
    text = section.get("anchors")
    numbers = [] if text is None else [n for n in text.split("#")[0].split(";")[0].split(",") if n]
    if text is not None and len(numbers) != 2 * layer.options.num:
        yield _line(section, "anchors"), (f"it wants 2 x num={layer.options.num} numbers in anchors=, "
                                          f"there are {len(numbers)}")
    beyond = [mask for mask in getattr(layer.options, "anchor_mask", ()) if mask >= layer.options.num]
    if beyond:
        yield _line(section, "mask"), f"mask={beyond[0]} lies outside num={layer.options.num} anchors"


def _number(section: Section, key: str, default: str) -> str:
    """The value up to a comment, without a fraction: what C's atoi sees."""
    text = section.get(key, default) or default
    return text.split("#")[0].split(";")[0].split(".")[0] or default


_CHECKS: Mapping[str, Callable[[Network, Layer, Section], Iterator[Problem]]] = {
    "convolutional": _convolutional,
    "connected": _connected,
    "maxpool": _maxpool,
    "route": _route,
    "shortcut": _shortcut,
    "scale_channels": _scale_channels,
    "upsample": _upsample,
    "reorg": _reorg,
    "softmax": _softmax,
    "dropout": _dropout,
    "yolo": _yolo,
    "region": _region,
}
