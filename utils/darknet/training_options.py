"""What a cfg says of training: the options of its heads and of [net] that change no output, with Darknet's defaults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

from utils.darknet.network import Layer, Network
from utils.darknet.option_reader import OptionReader
from utils.errors import SourceLine

_POLICIES = ("constant", "step", "exp", "poly", "steps", "sigmoid", "random", "sgdr")


@dataclass(frozen=True, slots=True)
class HeadTraining:
    """How a [yolo] or [Gaussian_yolo] is trained (AlexeyAB/darknet, parser.c: parse_yolo).

    max_delta: None where the cfg does not clip. said: the options that are written in the section, these and others.
    where: the section's header.
    """

    where: SourceLine
    said: frozenset[str]
    ignore_thresh: float
    truth_thresh: float
    iou_thresh: float
    iou_loss: Literal["mse", "iou", "giou", "diou", "ciou"]
    iou_normalizer: float
    obj_normalizer: float
    cls_normalizer: float
    label_smooth_eps: float
    focal_loss: bool
    objectness_smooth: bool
    max_delta: float | None
    jitter: float
    resize: float
    random: float

    IOU_LOSSES: ClassVar[tuple[str, ...]] = ("mse", "iou", "giou", "diou", "ciou")


@dataclass(frozen=True, slots=True)
class RegionTraining:
    """How a [region] is trained (parse_region, region_layer.c).

    object_scale, noobject_scale: weights of objectness where there is an object, and where there is none. thresh: the
    IoU from which on a box that answers for no object is not told to be background. rescore: objectness learns the IoU.
    """

    where: SourceLine
    said: frozenset[str]
    coord_scale: float
    object_scale: float
    noobject_scale: float
    class_scale: float
    thresh: float
    rescore: bool
    bias_match: bool
    focal_loss: bool
    jitter: float
    resize: float
    random: float


@dataclass(frozen=True, slots=True)
class NetTraining:
    """How Darknet trains the network (parse_net_options).

    batch: images of one step of the optimiser, in `subdivisions` parts. decay: of weights. max_batches, burn_in, steps:
    in such batches; a negative step is one that has passed before the training begins. scales: what each step
    multiplies the learning rate by. angle: degrees. saturation, exposure, hue: strengths. said: as in `HeadTraining`.
    """

    where: SourceLine
    said: frozenset[str]
    batch: int
    subdivisions: int
    momentum: float
    decay: float
    learning_rate: float
    burn_in: int
    max_batches: int
    policy: str
    steps: tuple[int, ...]
    scales: tuple[float, ...]
    power: float
    angle: float
    saturation: float
    exposure: float
    hue: float
    mosaic: bool
    flip: bool


def head_training(network: Network) -> tuple[HeadTraining | RegionTraining, ...]:
    """The training options of each head, in cfg order.

    Raises:
        CfgError: a value that cannot be meant; the message names its line.
    """
    return tuple(_read_region(options) if head.kind == "region" else _read_yolo(options)
                 for head, options in _head_options(network))


def net_training(network: Network) -> NetTraining:
    """The training options of [net].

    Raises:
        CfgError: a value that cannot be meant; the message names its line.
    """
    options = OptionReader(network.document.sections[0], network.path)
    policy = options.word("policy", "constant", _POLICIES)
    steps, scales = options.integers("steps"), options.numbers("scales")
    if policy == "steps" and len(steps) != len(scales):
        raise options.error(f"has {len(steps)} steps= and {len(scales)} scales=", "give each step its scale",
                            "scales" if options.has("scales") else "steps")
    return NetTraining(
        where=options.where, said=_said(options),
        batch=options.integer("batch", 1, least=1),
        subdivisions=options.integer("subdivisions", 1, least=1),
        momentum=_within(options, "momentum", 0.9, most=1),
        decay=_within(options, "decay", 0.0001),
        learning_rate=_within(options, "learning_rate", 0.001),
        burn_in=options.integer("burn_in", 0, least=0),
        max_batches=options.integer("max_batches", 0, least=0),
        policy=policy, steps=steps, scales=scales,
        power=options.number("power", 4.0),
        angle=options.number("angle", 0.0),
        saturation=_within(options, "saturation", 1.0),
        exposure=_within(options, "exposure", 1.0),
        hue=_within(options, "hue", 0.0),
        mosaic=options.flag("mosaic"),
        flip=options.integer("flip", 1) != 0,
    )


def _head_options(network: Network) -> Iterator[tuple[Layer, OptionReader]]:
    sections = network.document.sections
    for head in network.heads:
        yield head, OptionReader(sections[head.index + 1], network.path)


def _read_yolo(options: OptionReader) -> HeadTraining:
    return HeadTraining(
        where=options.where, said=_said(options),
        ignore_thresh=_within(options, "ignore_thresh", 0.5),
        truth_thresh=_within(options, "truth_thresh", 1.0),
        iou_thresh=_within(options, "iou_thresh", 1.0),
        iou_loss=cast(Any, options.word("iou_loss", "mse", HeadTraining.IOU_LOSSES)),  # one of those
        iou_normalizer=_within(options, "iou_normalizer", 0.75),
        obj_normalizer=_within(options, "obj_normalizer", 1.0),
        cls_normalizer=_within(options, "cls_normalizer", 1.0),
        label_smooth_eps=_within(options, "label_smooth_eps", 0.0, most=1),
        focal_loss=options.flag("focal_loss"),
        objectness_smooth=options.flag("objectness_smooth"),
        max_delta=_within(options, "max_delta", 0.0) if options.has("max_delta") else None,
        **_shared(options),
    )


def _read_region(options: OptionReader) -> RegionTraining:
    return RegionTraining(
        where=options.where, said=_said(options),
        coord_scale=_within(options, "coord_scale", 1.0),
        object_scale=_within(options, "object_scale", 1.0),
        noobject_scale=_within(options, "noobject_scale", 1.0),
        class_scale=_within(options, "class_scale", 1.0),
        thresh=_within(options, "thresh", 0.5),
        rescore=options.flag("rescore"),
        bias_match=options.flag("bias_match"),
        focal_loss=options.flag("focal_loss"),
        **_shared(options),
    )


def _shared(options: OptionReader) -> dict[str, float]:
    return {"jitter": _within(options, "jitter", 0.2), "resize": _within(options, "resize", 1.0),
            "random": _within(options, "random", 0.0)}


def _said(options: OptionReader) -> frozenset[str]:
    return frozenset(options.section.by_key)


def _within(options: OptionReader, key: str, default: float, *, most: float | None = None) -> float:
    """A number that is not negative, and at most `most`."""
    value = options.number(key, default)
    if value < 0 or (most is not None and value > most):
        raise options.error(f"{key}={value:g} makes no sense",
                            "give 0 or more" if most is None else f"give 0 to {most:g}", key)
    return value
