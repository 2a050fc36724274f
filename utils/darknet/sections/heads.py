"""Detection heads: [yolo], [Gaussian_yolo], [region] (yolo_layer.c, gaussian_yolo_layer.c, region_layer.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from utils.darknet.option_reader import OptionReader
from utils.darknet.rules import Fixed, Rule
from utils.darknet.sections.base import KEYS_OF_ALL, Passing, ShapeError
from utils.darknet.shape import Shape

_YOLO_KEYS = KEYS_OF_ALL | {
    "classes", "num", "mask", "anchors", "max", "counters_per_class", "label_smooth_eps", "scale_x_y",
    "objectness_smooth", "new_coords", "iou_normalizer", "obj_normalizer", "cls_normalizer", "delta_normalizer",
    "iou_loss", "iou_thresh_kind", "beta_nms", "nms_kind", "jitter", "resize", "focal_loss", "ignore_thresh",
    "truth_thresh", "iou_thresh", "random", "track_history_size", "sim_thresh", "dets_for_track", "dets_for_show",
    "track_ciou_norm", "embedding_layer", "embedding_size", "map", "max_delta", "show_details", "use_opencv"}
_NMS_KINDS = ("default", "greedynms", "diounms", "cornersnms")

_MOST_ANCHORS = 100_000
_NO_ANCHOR = (0.5, 0.5)  # what Darknet starts from, in every head

Anchors = tuple[tuple[float, float], ...]


class _Head(Passing):
    """What the heads have in common: they read one map of fixed width and give nothing to later layers."""

    entries: ClassVar[int]  # numbers per anchor beside the classes
    classes: int

    @property
    def per_cell(self) -> int:
        """Anchors of this head."""
        raise TypeError("a head must say how many anchors it has")

    @property
    def channels(self) -> int:
        """Channels that the head's input must have."""
        return self.per_cell * (self.entries + self.classes)

    def output(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of the input; ShapeError unless it holds anchors x (entries + classes) channels."""
        (x,) = shapes
        if x.channels != self.channels:
            raise ShapeError(f"reads {x.channels} channels, but {self.per_cell} anchors x ({self.entries} + "
                             f"{self.classes} classes) = {self.channels}",
                             f"give the convolution before it filters={self.channels}, or correct classes= and mask=")
        return x

    def rule(self, shapes: Sequence[Shape]) -> Rule:
        """Fixed."""
        return Fixed(f"feeds a [{self.names[0]}] head")


@dataclass(frozen=True, slots=True)
class Yolo(_Head):
    """A YOLOv3/v4/v7 head.

    anchors: all `num` of them, in pixels of the network's input, and those behind them that are written and a mask names.
    anchor_mask: this head's.
    """

    kind: ClassVar[str] = "yolo"
    names: ClassVar[tuple[str, ...]] = ("yolo",)
    keys: ClassVar[frozenset[str]] = _YOLO_KEYS
    entries: ClassVar[int] = 5

    classes: int
    num: int
    anchors: Anchors
    anchor_mask: tuple[int, ...]
    scale_x_y: float
    new_coords: bool
    nms_kind: str
    beta_nms: float

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Yolo:
        """Darknet's defaults: 20 classes, 1 anchor of half a pixel, all anchors in the mask.

        A mask beyond `num` (cspx-p7-mish.cfg) does not change what enters the head, and Darknet runs it; only the sizes
        of those boxes are chance there. It is taken to mean the anchor that is written; `mask_remark` says so.
        """
        num = _num(options)
        mask = options.integers("mask") or tuple(range(num))
        if min(mask) < 0:
            raise options.error(f"mask={min(mask)} is no anchor", "count anchors from 0", "mask")
        return cls(
            classes=options.integer("classes", 20, least=1),
            num=num,
            anchors=_anchors(options, num, max(mask) + 1),
            anchor_mask=mask,
            scale_x_y=options.number("scale_x_y", 1.0),
            new_coords=options.flag("new_coords"),
            nms_kind=options.word("nms_kind", "default", _NMS_KINDS),
            beta_nms=options.number("beta_nms", 0.6),
        )

    @property
    def per_cell(self) -> int:
        """Anchors of this head."""
        return len(self.anchor_mask)

    @property
    def own_anchors(self) -> Anchors:
        """The anchors of this head, in the order of its mask; pixels."""
        return tuple(self.anchors[m] if m < len(self.anchors) else _NO_ANCHOR for m in self.anchor_mask)


@dataclass(frozen=True, slots=True)
class GaussianYolo(Yolo):
    """A head that also predicts how sure each coordinate is."""

    kind: ClassVar[str] = "gaussian_yolo"
    names: ClassVar[tuple[str, ...]] = ("Gaussian_yolo", "gaussian_yolo")
    keys: ClassVar[frozenset[str]] = _YOLO_KEYS | {"uc_normalizer", "yolo_point"}
    entries: ClassVar[int] = 9

    @classmethod
    def read(cls, options: OptionReader, index: int) -> GaussianYolo:
        """Only yolo_point=center is supported."""
        options.word("yolo_point", "center", ("center",))
        base = Yolo.read(options, index)
        return cls(**{field.name: getattr(base, field.name) for field in fields(base)})


@dataclass(frozen=True, slots=True)
class Region(_Head):
    """A YOLOv2 head. anchors: in cells of the head's map."""

    kind: ClassVar[str] = "region"
    names: ClassVar[tuple[str, ...]] = ("region",)
    keys: ClassVar[frozenset[str]] = KEYS_OF_ALL | {
        "coords", "classes", "num", "max", "log", "sqrt", "softmax", "rescore", "focal_loss", "jitter", "resize",
        "thresh", "classfix", "absolute", "random", "coord_scale", "object_scale", "noobject_scale", "mask_scale",
        "class_scale", "bias_match", "tree", "map", "anchors"}
    entries: ClassVar[int] = 5

    classes: int
    num: int
    anchors: Anchors
    softmax: bool

    @classmethod
    def read(cls, options: OptionReader, index: int) -> Region:
        """Softmax trees (yolo9000) and coords other than 4 are refused."""
        if options.has("tree"):
            raise options.error("softmax trees are not supported", "use a [region] without tree=", "tree")
        if options.integer("coords", 4) != 4:
            raise options.error("only coords=4 is supported", "write coords=4", "coords")
        num = _num(options)
        return cls(options.integer("classes", 20, least=1), num, _anchors(options, num), options.flag("softmax"))

    @property
    def per_cell(self) -> int:
        """Anchors of this head."""
        return self.num

    @property
    def own_anchors(self) -> Anchors:
        """The anchors of this head; cells."""
        return self.anchors


def mask_remark(options: OptionReader) -> str | None:
    """What a user should know of a [yolo] whose mask names anchors that `num` does not count; None for all others."""
    mask, num = options.integers("mask"), _num(options)
    if not mask or max(mask) < num:
        return None
    written = len(options.numbers("anchors")) // 2
    meaning = "the anchors written behind them" if max(mask) < written else "an anchor of half a pixel"
    return (f"{options.where_is('mask')}: mask={max(mask)} lies outside num={num} anchors: in Darknet the sizes of these "
            f"boxes are chance, here they follow {meaning}")


def _num(options: OptionReader) -> int:
    num = options.integer("num", 1, least=1)
    if num > _MOST_ANCHORS:
        raise options.error(f"num={num} is no number of anchors", f"give at most {_MOST_ANCHORS}", "num")
    return num


def _anchors(options: OptionReader, num: int, named: int = 0) -> Anchors:
    """The first `num` pairs, padded where fewer are written, and the written ones among the first `named`."""
    numbers = list(options.numbers("anchors"))[: 2 * max(num, named)]
    numbers += [0.5] * (2 * num - len(numbers))
    numbers += [0.5] * (len(numbers) % 2)
    return tuple(zip(numbers[0::2], numbers[1::2], strict=True))
