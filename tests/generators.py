"""Hypothesis generators: small random networks as cfg text, weights for them, and plans that they can follow.

    @given(networks(blocks=OPENCV_BLOCKS))
    def test_...(network): ...

Blocks are what a network is put together from; `BLOCKS` lists them by name, and a test that needs an engine which lacks
some passes a smaller set. Every network ends in one or two [yolo] heads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from utils.darknet import Header, Network, Weights, parse_network
from utils.pruning import Plan, channel_groups, completed, plan_of

# Without stair, which jumps (one ulp changes its value by 1), and without those that mix the channels of a pixel.
SMOOTH_ACTIVATIONS = ("linear", "leaky", "relu", "relu6", "mish", "swish", "logistic", "loggy", "tanh", "elu", "selu",
                      "gelu", "hard_mish", "hardtan", "lhtan", "plse", "ramp", "relie")
# act(0) = 0: a removed channel with beta 0 emits nothing.
QUIET_ACTIVATIONS = tuple(name for name in SMOOTH_ACTIVATIONS if name not in ("logistic", "plse"))
OPENCV_ACTIVATIONS = ("linear", "leaky", "relu", "mish", "swish", "logistic")
OPENCV_BLOCKS = ("convolution", "residual", "nested_residual", "concat", "block_of_halves", "depthwise", "maxpool", "spp", "upsample",
                 "squeeze_excite")


@dataclass
class CfgWriter:
    """A cfg under construction: appends sections and knows the shape of every layer so far.

    draw: Hypothesis' draw. padded: whether 3x3 kernels pad with zeros. normalized: whether all convolutions but those
    of the heads have batch norm, instead of some. activations: what a layer may use.
    shapes: (channels, height, width) per layer. reads: what the layer reads, as such a shape.
    """

    draw: Callable
    size: tuple[int, int]
    padded: bool
    normalized: bool
    activations: tuple[str, ...]
    channels: int = 3
    sections: list[str] = field(default_factory=list)
    shapes: list[tuple[int, int, int]] = field(default_factory=list)
    reads: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def here(self) -> tuple[int, int, int]:
        """The shape that the next layer reads."""
        return self.shapes[-1] if self.shapes else (self.channels, *self.size)

    def add(self, name: str, shape: tuple[int, int, int], **options: object) -> None:
        """One section; options named from_ are written as from."""
        lines = [f"[{name}]"] + [f"{key.rstrip('_')}={value}" for key, value in options.items()]
        self.sections.append("\n".join(lines) + "\n")
        self.reads.append(self.here)
        self.shapes.append(shape)

    def activation(self) -> str:
        """Any activation that is allowed here."""
        return self.draw(st.sampled_from(self.activations))

    def convolution(self, filters: int, size: int = 1, stride: int = 1, groups: int = 1, *, same: bool = False,
                    activation: str | None = None, batch_normalize: bool | None = None) -> None:
        """A convolution; `same` keeps the map's size even where this cfg does not pad (the kernel becomes 1x1)."""
        if same and not self.padded:
            size = 1
        height, width = self.here[1:]
        size = size if min(height, width) >= size else 1
        pad = size // 2 if self.padded else 0
        options: dict[str, object] = {"filters": filters, "size": size, "stride": stride, "pad": int(self.padded)}
        if batch_normalize is None:
            batch_normalize = self.normalized or self.draw(st.booleans())
        if batch_normalize:
            options = {"batch_normalize": 1, **options}
        if groups > 1:
            options["groups"] = groups
        shape = tuple((side + 2 * pad - size) // stride + 1 for side in (height, width))
        self.add("convolutional", (filters, *shape), **options, activation=activation or self.activation())

    def filters(self) -> int:
        """A small width."""
        return self.draw(st.integers(2, 8))

    def peers(self) -> list[int]:
        """Earlier layers, this one included, whose maps are as large as this one."""
        return [i for i, shape in enumerate(self.shapes) if shape[1:] == self.here[1:]]

    def text(self) -> str:
        """The whole cfg."""
        height, width = self.size
        net = f"[net]\nbatch=1\nsubdivisions=1\nwidth={width}\nheight={height}\nchannels={self.channels}\n"
        return "\n".join([net, *self.sections])


def _convolution(cfg: CfgWriter) -> None:
    large = min(cfg.here[1:]) >= 8
    cfg.convolution(cfg.filters(), cfg.draw(st.sampled_from((1, 3))), cfg.draw(st.sampled_from((1, 2))) if large else 1)


def _residual(cfg: CfgWriter) -> None:
    channels = cfg.here[0]
    cfg.convolution(cfg.filters(), 1)
    cfg.convolution(channels, 3, same=True)
    cfg.add("shortcut", cfg.here, from_=-3 if len(cfg.shapes) > 2 else -2, activation=cfg.activation())


def _nested_residual(cfg: CfgWriter) -> None:
    """A residual block within another, and one more that begins at the outer one's source."""
    source, channels = len(cfg.shapes) - 1, cfg.here[0]
    cfg.convolution(inner := cfg.filters(), 1)
    cfg.convolution(inner, 3, same=True)
    cfg.add("shortcut", cfg.here, from_=-2, activation="linear")
    cfg.convolution(channels, 1)
    cfg.add("shortcut", cfg.here, from_=source, activation=cfg.activation())
    cfg.convolution(channels, 3, same=True)
    cfg.add("shortcut", cfg.here, from_=source - len(cfg.shapes), activation="linear")


def _unequal_shortcut(cfg: CfgWriter) -> None:
    """Two branches of different widths, in either order; Darknet adds the channels that both have."""
    cfg.convolution(cfg.filters(), 1)
    cfg.convolution(cfg.filters(), 1)
    source = cfg.shapes[-2]
    if source[0] < cfg.here[0] and cfg.reads[-2] == cfg.here:  # Darknet would read past the source's end
        cfg.convolution(source[0], 1)
        cfg.add("shortcut", cfg.here, from_=-3, activation="linear")
    else:
        cfg.add("shortcut", cfg.here, from_=-2, activation=cfg.activation())


def _many_shortcut(cfg: CfgWriter) -> None:
    """A shortcut from several layers of any width, weighted or not."""
    cfg.convolution(cfg.filters(), 1)
    peers = cfg.peers()[:-1]
    if not peers:
        return
    sources = cfg.draw(st.lists(st.sampled_from(peers), min_size=2, max_size=3))
    options: dict[str, object] = {"from_": ",".join(str(s - len(cfg.shapes)) for s in sources)}
    weights_type = cfg.draw(st.sampled_from(("none", "per_feature", "per_channel")))
    if weights_type != "none":
        options["weights_type"] = weights_type
        options["weights_normalization"] = cfg.draw(st.sampled_from(("relu", "softmax")))
    cfg.add("shortcut", cfg.here, **options, activation=cfg.activation())


def _concat(cfg: CfgWriter) -> None:
    """A route over earlier layers, some of which may be routes, or the same layer twice."""
    sources = cfg.draw(st.lists(st.sampled_from(cfg.peers()), min_size=1, max_size=3))
    channels = sum(cfg.shapes[s][0] for s in sources)
    if channels > 32:
        sources, channels = sources[:1], cfg.shapes[sources[0]][0]
    written = [s - len(cfg.shapes) if cfg.draw(st.booleans()) else s for s in sources]
    cfg.add("route", (channels, *cfg.here[1:]), layers=",".join(map(str, written)))


def _block_of_halves(cfg: CfgWriter) -> None:
    """A route with groups=2 over one or two layers."""
    even = [i for i in cfg.peers() if cfg.shapes[i][0] % 2 == 0]
    if not even:
        return
    sources = cfg.draw(st.lists(st.sampled_from(even), min_size=1, max_size=2))
    channels = sum(cfg.shapes[s][0] // 2 for s in sources)
    cfg.add("route", (channels, *cfg.here[1:]), layers=",".join(str(s - len(cfg.shapes)) for s in sources),
            groups=2, group_id=cfg.draw(st.integers(0, 1)))


def _grouped_convolution(cfg: CfgWriter) -> None:
    if cfg.here[0] % 2:
        cfg.convolution(2 * cfg.draw(st.integers(1, 4)), 1)
    cfg.convolution(2 * cfg.draw(st.integers(1, 4)), cfg.draw(st.sampled_from((1, 3))), groups=2)


def _depthwise(cfg: CfgWriter) -> None:
    channels = cfg.here[0]
    cfg.convolution(channels * cfg.draw(st.sampled_from((1, 1, 2))), 3, groups=channels)
    cfg.convolution(cfg.filters(), 1)


def _maxpool(cfg: CfgWriter) -> None:
    channels, height, width = cfg.here
    stride = 2 if min(height, width) >= 8 and cfg.draw(st.booleans()) else 1
    cfg.add("maxpool", (channels, (height - 1) // stride + 1, (width - 1) // stride + 1), size=2, stride=stride)


def _spp(cfg: CfgWriter) -> None:
    if cfg.here[0] > 8:
        cfg.convolution(cfg.filters(), 1)
    shape = cfg.here
    cfg.add("maxpool", shape, size=3, stride=1)
    cfg.add("route", shape, layers=-2)
    cfg.add("maxpool", shape, size=5, stride=1)
    cfg.add("route", (3 * shape[0], *shape[1:]), layers="-1,-3,-4")


def _upsample(cfg: CfgWriter) -> None:
    channels, height, width = cfg.here
    if max(height, width) <= 32:
        scale = {"scale": 0.5} if cfg.draw(st.booleans()) else {}
        cfg.add("upsample", (channels, 2 * height, 2 * width), stride=2, **scale)


def _squeeze_excite(cfg: CfgWriter) -> None:
    channels, *_ = shape = cfg.here
    source = len(cfg.shapes) - 1
    cfg.add("avgpool", (channels, 1, 1))
    cfg.convolution(cfg.filters(), 1, activation="relu")
    cfg.convolution(channels, 1, activation="logistic")
    cfg.add("scale_channels", shape, from_=source - len(cfg.shapes), activation="linear")


def _spatial_attention(cfg: CfgWriter) -> None:
    cfg.convolution(cfg.here[0], 1, activation="logistic")
    cfg.add("sam", cfg.here, from_=-2, activation=cfg.activation())


def _space_to_depth(cfg: CfgWriter) -> None:
    channels, height, width = cfg.here
    if height % 2 or width % 2 or min(height, width) < 4:
        return
    if channels > 8:
        channels = cfg.filters()
        cfg.convolution(channels, 1)
    cfg.add("reorg3d", (4 * channels, height // 2, width // 2), stride=2)


def _plain(cfg: CfgWriter) -> None:
    """A layer without geometry."""
    name = cfg.draw(st.sampled_from(("batchnorm", "activation", "dropout", "empty", "local_avgpool")))
    options: Mapping[str, object] = {
        "activation": {"activation": cfg.activation()}, "dropout": {"probability": 0.2},
        "local_avgpool": {"size": 3, "stride": 1}}.get(name, {})
    cfg.add(name, cfg.here, **options)


BLOCKS: Mapping[str, Callable[[CfgWriter], None]] = {
    "convolution": _convolution,
    "residual": _residual,
    "nested_residual": _nested_residual,
    "unequal_shortcut": _unequal_shortcut,
    "many_shortcut": _many_shortcut,
    "concat": _concat,
    "block_of_halves": _block_of_halves,
    "grouped_convolution": _grouped_convolution,
    "depthwise": _depthwise,
    "maxpool": _maxpool,
    "spp": _spp,
    "upsample": _upsample,
    "squeeze_excite": _squeeze_excite,
    "spatial_attention": _spatial_attention,
    "space_to_depth": _space_to_depth,
    "plain": _plain,
}


def _head(cfg: CfgWriter, classes: int) -> None:
    anchors = cfg.draw(st.integers(1, 3))
    cfg.convolution(anchors * (5 + classes), 1, activation="linear", batch_normalize=False)
    mask = ",".join(map(str, range(anchors)))
    cfg.add("yolo", cfg.here, mask=mask, anchors="10,14, 23,27, 37,58", classes=classes, num=3)


@st.composite
def cfg_texts(draw: Callable, *, blocks: Collection[str] = tuple(BLOCKS), padded: bool = True, normalized: bool = False,
              activations: Collection[str] = SMOOTH_ACTIVATIONS, max_blocks: int = 8) -> str:
    """The text of a cfg with an input of 32 to 64 pixels a side and up to `max_blocks` blocks.

    blocks: names out of BLOCKS. padded: whether 3x3 kernels pad with zeros (pad=1); without, folding is exact.
    normalized: all convolutions but those of the heads have batch norm, instead of some.
    """
    sides = st.sampled_from((32, 40, 48, 64))
    cfg = CfgWriter(draw, (draw(sides), draw(sides)), padded, normalized, tuple(activations))
    cfg.convolution(cfg.filters(), 3, 2)
    for name in draw(st.lists(st.sampled_from(sorted(blocks)), min_size=min(2, max_blocks), max_size=max_blocks)):
        if cfg.here[0] > 24:
            cfg.convolution(cfg.filters(), 1)
        BLOCKS[name](cfg)
    classes = draw(st.integers(1, 3))
    _head(cfg, classes)
    if draw(st.booleans()):
        cfg.add("route", cfg.shapes[(source := draw(st.integers(0, len(cfg.shapes) - 3)))], layers=source)
        _head(cfg, classes)
    return cfg.text()


def networks(**options: object) -> st.SearchStrategy[Network]:
    """Networks of `cfg_texts`, which takes the same options."""
    return cfg_texts(**options).map(parse_network)


def random_weights(network: Network, seed: int = 0, *, quiet: bool = False) -> Weights:
    """Weights whose maps stay of order 1: gamma and var in [0.5, 2], beta, bias and mean normal, kernels by fan-in.

    quiet: beta, bias and mean are 0, so that with QUIET_ACTIVATIONS a removed channel emits 0.
    """
    rng = np.random.default_rng(seed)
    layers = []
    for layer in network.layers:
        arrays = {}
        for spec in layer.stored:
            if spec.name in ("gamma", "var") or layer.kind == "shortcut":
                values = rng.uniform(0.5, 2, spec.shape)
            elif spec.name == "weight":
                values = rng.normal(size=spec.shape) / np.sqrt(max(1, spec.size // spec.shape[0]))
            else:
                values = np.zeros(spec.shape) if quiet else rng.normal(size=spec.shape)
            arrays[spec.name] = values.astype(np.float32)
        layers.append(arrays)
    return Weights(Header(seen=6400), tuple(layers), len(layers))


def random_plan(network: Network, seed: int = 0, share: float = 0.5) -> Plan:
    """A plan that the network can follow and that tries to remove about `share` of all channels that may go."""
    rng = np.random.default_rng(seed)
    groups = channel_groups(network)
    scores = rng.random(groups.count)
    kept = completed(network, groups, scores >= share, scores)
    return plan_of(network, groups, kept, "random", {"seed": seed, "share": share})


@st.composite
def legal_plans(draw: Callable, network: Network) -> Plan:
    """Plans that the network can follow, from one that keeps everything to one that keeps as little as possible."""
    return random_plan(network, draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from((0.5, 0.2, 0.8, 1.0, 0.0))))


@st.composite
def pruning_cases(draw: Callable, *, quiet: bool = False, **options: object) -> tuple[Network, Weights, Plan]:
    """A network, weights of its own, and a plan that it can follow; options as for `cfg_texts`."""
    network = draw(networks(**options))
    weights = random_weights(network, draw(st.integers(0, 2**32 - 1)), quiet=quiet)
    return network, weights, draw(legal_plans(network))
