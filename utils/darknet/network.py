"""A cfg as a typed network: every layer with its options, inputs, shapes, costs, arrays and channel rule."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from utils.atomic import write_bytes
from utils.darknet.document import CfgDocument, Option
from utils.darknet.option_reader import LARGEST, OptionReader
from utils.darknet.rules import Fixed, Rule
from utils.darknet.sections import HEADS, KIND_OF_NAME, REFUSED, ArraySpec, Convolutional, Section, ShapeError
from utils.darknet.sections.base import KEYS_OF_ALL
from utils.darknet.sections.heads import mask_remark
from utils.darknet.sections.wiring import Shortcut
from utils.darknet.shape import IMAGE, Shape
from utils.errors import CfgError, SourceLine

_logger = logging.getLogger(__name__)

_NET_NAMES = ("net", "network")
_NET_KEYS = frozenset({
    "batch", "learning_rate", "learning_rate_min", "batches_per_cycle", "batches_cycle_mult", "momentum", "decay",
    "subdivisions", "time_steps", "track", "augment_speed", "sequential_subdivisions", "try_fix_nan",
    "use_cuda_graph", "loss_scale", "dynamic_minibatch", "optimized_memory", "workspace_size_limit_MB", "adam", "B1",
    "B2", "eps", "height", "width", "channels", "inputs", "max_crop", "min_crop", "flip", "blur", "gaussian_noise",
    "mixup", "cutmix", "mosaic", "letter_box", "mosaic_bound", "contrastive", "contrastive_jit_flip",
    "contrastive_color", "unsupervised", "label_smooth_eps", "resize_step", "attention", "adversarial_lr",
    "max_chart_loss", "angle", "aspect", "saturation", "exposure", "hue", "power", "policy", "burn_in", "max_batches",
    "steps", "scales", "seq_scales", "step", "scale", "gamma", "sgdr_cycle", "sgdr_mult", "ema_alpha",
    "badlabels_rejection_percentage", "num_sigmas_reject_badlabels", "equidistant_point", "reject_threshold"})


@dataclass(frozen=True)
class Net:
    """The options of [net] that a network's output depends on; others are text in `Network.document`."""

    width: int
    height: int
    channels: int
    letter_box: bool


@dataclass(frozen=True)
class Layer:
    """One section below [net], in its place.

    inputs: the layers it reads, IMAGE for the network's input. shape: what the next layer sees.
    """

    index: int
    kind: str
    options: Any
    inputs: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    shape: Shape
    where: SourceLine
    rule: Rule

    @property
    def is_head(self) -> bool:
        """Whether it is a detection head."""
        return self.kind in HEADS

    @cached_property
    def arrays(self) -> tuple[ArraySpec, ...]:
        """All arrays that it owns, stored or not, in the order of a .weights file."""
        return self.options.arrays(self.input_shapes)

    @cached_property
    def stored(self) -> tuple[ArraySpec, ...]:
        """The arrays that a .weights file holds."""
        return tuple(spec for spec in self.arrays if spec.stored)

    @property
    def parameters(self) -> int:
        """Numbers that a .weights file holds for it, batch-norm statistics included."""
        return sum(spec.size for spec in self.stored)

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of its kernel for one image."""
        return self.options.macs(self.input_shapes)

    @cached_property
    def bflops(self) -> float:
        """Billions of operations as Darknet prints them."""
        return self.options.bflops(self.input_shapes)


@dataclass(frozen=True)
class Network:
    """A typed cfg. Equal text makes equal networks; `document` writes it back byte for byte."""

    document: CfgDocument
    net: Net
    layers: tuple[Layer, ...]

    @property
    def path(self) -> str:
        """The file that it was read from, for messages."""
        return self.document.path

    @property
    def input_shape(self) -> Shape:
        """The shape of the image that it reads."""
        return Shape(self.net.channels, self.net.height, self.net.width)

    @cached_property
    def heads(self) -> tuple[Layer, ...]:
        """Its detection heads, in cfg order."""
        return tuple(layer for layer in self.layers if layer.is_head)

    @property
    def parameters(self) -> int:
        """Numbers in its .weights file."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-adds of all kernels for one image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def bflops(self) -> float:
        """Billions of operations for one image, as Darknet's last line says."""
        return sum(layer.bflops for layer in self.layers)

    @cached_property
    def _readers(self) -> tuple[tuple[int, ...], ...]:
        readers: list[list[int]] = [[] for _ in self.layers]
        for layer in self.layers:
            for source in dict.fromkeys(layer.inputs):
                if source != IMAGE:
                    readers[source].append(layer.index)
        return tuple(tuple(r) for r in readers)

    def consumers(self, index: int) -> tuple[int, ...]:
        """The layers that read layer `index`."""
        return self._readers[index]

    def needed_by(self, *indices: int) -> set[int]:
        """These layers and all that they read, directly or not."""
        waiting, found = list(indices), set()
        while waiting:
            index = waiting.pop()
            if index != IMAGE and index not in found:
                found.add(index)
                waiting += self.layers[index].inputs
        return found

    @cached_property
    def fingerprint(self) -> str:
        """A SHA-256 of what the network computes; comments, spelling, input size and training options leave it alone."""
        parts = [f"input channels {self.net.channels}"]
        parts += [f"{layer.kind} {layer.options!r} {layer.inputs!r}" for layer in self.layers]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def resized(self, height: int, width: int) -> Network:
        """The same network for another input size, in pixels; the text changes with it."""
        return self._with_document(self.document.edited({0: {"width": str(width), "height": str(height)}}))

    def with_options(self, changes: Mapping[int, Mapping[str, str]]) -> Network:
        """The network after setting options of layers, {layer index: {key: value}}; the rest of the text stays."""
        return self._with_document(self.document.edited({index + 1: keys for index, keys in changes.items()}))

    def with_section(self, index: int, name: str, options: Mapping[str, str]) -> Network:
        """The network with another section in the place of layer `index`; the rest of the text stays."""
        return self._with_document(self.document.with_section(index + 1, name, options))

    @cached_property
    def unknown_options(self) -> tuple[Option, ...]:
        """Options that no Darknet knows; hank-ai's aborts on them."""
        found = [o for o in self.document.sections[0].options if o.key not in _NET_KEYS]
        for section in self.document.sections[1:]:
            known = KIND_OF_NAME[section.name].keys | KEYS_OF_ALL
            found += [o for o in section.options if o.key not in known]
        return tuple(found)

    def portable(self) -> Network:
        """The network with the options that no Darknet knows turned into comments."""
        if not self.unknown_options:
            return self
        return self._with_document(self.document.commented_out(self.unknown_options))

    def _with_document(self, document: CfgDocument) -> Network:
        return build_network(document)


def read_network(path: str | Path) -> Network:
    """Read a .cfg.

    Raises:
        CfgError: the file is missing or unreadable, or cannot mean a network; the message names file and line.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        raise CfgError(path, "is a folder", "give a .cfg file") from None
    except FileNotFoundError:
        raise CfgError(path, "does not exist", "check the path of the .cfg; `python make_cfg.py --list` shows "
                       "architectures that can be built") from None
    except OSError as error:
        raise CfgError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    return parse_network(data, str(path))


def parse_network(text: str | bytes, path: str = "<cfg>") -> Network:
    """A cfg's text as a Network; CfgError as `read_network`. What it means by chance is logged as a warning."""
    network = build_network(CfgDocument.parse(text, path))
    for head in network.heads:
        remark = mask_remark(OptionReader(network.document.sections[head.index + 1], path))
        if remark is not None:
            _logger.warning("%s", remark)
    return network


def write_cfg(path: str | Path, network: Network) -> None:
    """Write the cfg's text, byte for byte and all or nothing; OutputError if it cannot be."""
    write_bytes(path, network.document.to_bytes())


def build_network(document: CfgDocument) -> Network:
    """The network that a cfg's text means.

    Raises:
        CfgError: no [net], an unknown or unsupported section, a bad option, or maps that do not fit.
    """
    sections = document.sections
    if not sections:
        raise CfgError(document.path, "holds no sections", "a cfg begins with [net]; is this a Darknet .cfg?")
    first = sections[0]
    if first.name not in _NET_NAMES:
        raise CfgError(document.where(first.line), f"the first section is [{first.name}]",
                       "a cfg must begin with [net]")
    net = _read_net(OptionReader(first, document.path))
    layers: list[Layer] = []
    for index, section in enumerate(sections[1:]):
        layers.append(_build_layer(OptionReader(section, document.path), index, net, layers))
    if not layers:
        raise CfgError(document.path, "has no layers below [net]", "add at least one section")
    return Network(document, net, tuple(_with_shared_weights_fixed(layers)))


def _read_net(options: OptionReader) -> Net:
    sides = {}
    for key in ("width", "height", "channels"):
        sides[key] = options.integer(key, 0)
        if sides[key] < 1:
            raise options.error(f"{key}={sides[key]} is no size" if options.has(key) else f"says nothing of {key}=",
                                f"write {key}={3 if key == 'channels' else 416}", key)
    return Net(sides["width"], sides["height"], sides["channels"], options.flag("letter_box"))


def _kind(options: OptionReader) -> type[Section]:
    name = options.section.name
    if name in KIND_OF_NAME:
        return KIND_OF_NAME[name]
    if name in REFUSED:
        raise CfgError(options.where, f"[{name}] cannot be used: {REFUSED[name]}",
                       "choose a network without this section")
    if name in _NET_NAMES:
        raise CfgError(options.where, f"a second [{name}]", "a cfg has one, at its beginning")
    similar = [known for known in KIND_OF_NAME if known.lower() == name.lower()]
    remedy = f"did you mean [{similar[0]}]?" if similar else "check the spelling; nothing may follow the ] on its line"
    raise CfgError(options.where, f"[{name}] is no section that Bonsai knows", remedy)


def _build_layer(options: OptionReader, index: int, net: Net, before: list[Layer]) -> Layer:
    section = _kind(options).read(options, index)
    if isinstance(section, Convolutional) and section.share_index is not None:
        section = replace(section, share_index=_owner(section.share_index, before))
    inputs = section.inputs(index)
    for source in inputs:
        if source != IMAGE:
            _check_source(options, index, section, before[source])
    image = Shape(net.channels, net.height, net.width)
    shapes = tuple(image if source == IMAGE else before[source].shape for source in inputs)
    try:
        shape = section.output(shapes)
    except ShapeError as error:
        raise options.error(f"(layer {index}) {error.problem}", error.remedy) from None
    if min(shape.height, shape.width) < 1:
        raise options.error(f"(layer {index}) has nothing left of its {shapes[0].width}x{shapes[0].height} input",
                            "give [net] a larger width= and height=")
    largest = max([shape.size, *(spec.size for spec in section.arrays(shapes))])
    if largest > LARGEST:
        raise options.error(f"(layer {index}) makes {largest} numbers, more than Darknet's 32 bits can count",
                            "give [net] a smaller width= and height=, or fewer filters")
    if isinstance(section, Convolutional) and section.share_index is not None:
        _check_shared(options, index, section, shapes, before[section.share_index])
    if isinstance(section, Shortcut):
        _check_shortcut_reads(options, section, shape, before)
    return Layer(index, section.kind, section, inputs, shapes, shape, options.where, section.rule(shapes))


def _check_source(options: OptionReader, index: int, section: Section, source: Layer) -> None:
    if source.is_head:
        raise options.error(f"(layer {index}) reads layer {source.index}, a [{source.kind}] head",
                            "read a layer before the head, for example with [route] layers=-4")
    blurs = getattr(source.options, "antialiasing", 0)
    named = source.index != index - 1 or section.kind == "route"
    if blurs and named:
        raise options.error(f"(layer {index}) names layer {source.index}, whose antialiasing makes Darknet record "
                            "the wrong size", "only the layer directly behind an antialiased one may read it")


def _owner(index: int, before: list[Layer]) -> int:
    """The layer whose weights layer `index` uses: itself, or where it shares another's, that one."""
    options = before[index].options
    while isinstance(options, Convolutional) and options.share_index is not None:
        index, options = options.share_index, before[options.share_index].options
    return index


def _check_shared(options: OptionReader, index: int, section: Convolutional, shapes: tuple[Shape, ...],
                  source: Layer) -> None:
    own = replace(section, share_index=None)
    if source.kind != Convolutional.kind:
        raise options.error(f"(layer {index}) shares the weights of layer {source.index}, a [{source.kind}]",
                            "share_index= must name a convolution", "share_index")
    if [spec.shape for spec in own.arrays(shapes)] != [spec.shape for spec in source.arrays]:
        raise options.error(f"(layer {index}) shares the weights of layer {source.index}, which have another shape",
                            "give both the same filters=, size=, groups= and batch_normalize=", "share_index")


def _check_shortcut_reads(options: OptionReader, section: Shortcut, shape: Shape, before: list[Layer]) -> None:
    """Darknet takes a short way if the source's *input* has the sum's shape, and then reads past a narrower output."""
    if len(section.sources) > 1 or section.weights_type != "none":
        return
    source = before[section.sources[0]]
    if source.shape.channels < shape.channels and source.input_shapes[:1] == (shape,):
        raise options.error(f"adds layer {source.index}, which is narrower than the sum ({source.shape.channels} "
                            f"against {shape.channels} channels) although its input is not: Darknet reads past its end",
                            "give both the same filters=")


def _with_shared_weights_fixed(layers: list[Layer]) -> list[Layer]:
    shared = {layer.options.share_index for layer in layers if isinstance(layer.options, Convolutional)}
    return [
        replace(layer, rule=Fixed("another layer shares its weights (share_index)")) if layer.index in shared else layer
        for layer in layers
    ]
