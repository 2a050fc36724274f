"""What a detector is trained to lower: how wrong its heads' boxes, objectness and classes are.

Three parts per head: boxes and classes at the places that answer for a true box (`assignment`), objectness everywhere.
Two ways to add up:

    "mean"  the ancestor's: each part is a mean (boxes over positives, classes over positives x classes, objectness
            over all places), heads are summed, and the whole is multiplied by images / 64.
    "sum"   Darknet's: each part is a sum, divided by the number of images.

Darknet has no loss but gradients ("deltas") with regard to a head's numbers. Those of objectness and classes are exactly
the gradients of the cross-entropies here. Its box deltas leave out the slope of the sigmoid of x and y (and with
new_coords of all four), and with new_coords the logistic before the head multiplies every delta by its slope; here all
gradients are those of the loss. Of a cfg's keys, `truth_thresh` and `max_delta` have no counterpart.

Calibration. Darknet's score is objectness x class probability. Cross-entropies have their lowest value where a
probability is the true frequency; a weight on positives (`obj_pw`) shifts it upwards. The class is trained with a
single class too: untrained, it would stay where its bias began, and every score with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.detection.assignment import ASSIGN_RULES, AnchorRule, AssignRule, Positives, Sizes, assign
from utils.detection.boxes import pairwise_iou, xywh_to_xyxy
from utils.detection.decode import MAX_LOG_SIZE, decode_region, decode_yolo
from utils.detection.focal_loss import (
    Form,
    cross_entropy,
    darknet_focal_classes,
    darknet_focal_softmax,
    focal_modulation,
    full_precision,
)
from utils.detection.iou_loss import IOU_KINDS, IouKind, box_loss, iou_family

_WORDS = {
    "kind": ("yolo", "region"),
    "iou_loss": ("mse", *IOU_KINDS),
    "focal": ("off", "modulated", "darknet"),
    "objectness_target": ("one", "iou"),
    "assign": ASSIGN_RULES,
    "reduction": ("mean", "sum"),
}


@dataclass(frozen=True)
class HeadLossOptions:
    """Everything that the loss of one head depends on.

    anchors: this head's; pixels of the network's input, in a [region] cells.
    classes: how many it knows.
    all_anchors, anchor_mask: those of the cfg, and which of them are this head's. Empty: it has all there are.
    softmax: of a [region]'s classes; without it they are trained by squared error, as Darknet does.
    scale_x_y, new_coords: as in `decode_yolo`.
    iou_loss: "mse" is half the squared error of position in the cell (after the sigmoid) and of the raw sizes, in a
        [yolo] times (2 - the box's share of the image).
    box_gain, obj_gain, cls_gain: of the parts. obj_pw, cls_pw: of the positive terms in their cross-entropies.
    ignore_thresh: a place that answers for no box but whose predicted box has a larger IoU with one is not told to be
        background; 1: there is none.
    label_smooth_eps: class targets are eps/2 and 1 - eps/2, except where `softmax` or focal "darknet" holds.
    focal: "modulated" is the ancestor's, on objectness and classes, with focal_gamma and focal_alpha; "darknet" its
        focal_loss=1, on classes.
    objectness_target: what a positive's objectness should be: "one", or the "iou" of its box with the true one.
    assign, assign_threshold: see `AnchorRule`. best_anchor: see `assign`.
    stride: pixels per cell, (vertical, horizontal); only `prior_biases` asks, the loss looks at the maps.
    reduction: see the module; the same for all heads of a network.

    Raises:
        ValueError: a word that there is not.
    """

    anchors: Sizes
    classes: int
    all_anchors: Sizes = ()
    anchor_mask: tuple[int, ...] = ()
    kind: Literal["yolo", "region"] = "yolo"
    softmax: bool = True
    scale_x_y: float = 1.0
    new_coords: bool = False
    iou_loss: Literal["mse"] | IouKind = "giou"
    box_gain: float = 1.0
    obj_gain: float = 1.0
    cls_gain: float = 1.0
    obj_pw: float = 1.0
    cls_pw: float = 1.0
    ignore_thresh: float = 1.0
    label_smooth_eps: float = 0.0
    focal: Literal["off", "modulated", "darknet"] = "off"
    focal_gamma: float = 2.0
    focal_alpha: float = 1.0
    objectness_target: Literal["one", "iou"] = "one"
    assign: AssignRule = "iou"
    assign_threshold: float = 0.2635
    best_anchor: bool = True
    stride: tuple[float, float] = (32.0, 32.0)
    reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; use one of {', '.join(words)}")

    @property
    def form(self) -> Form:
        """What the head's objectness and class numbers are."""
        return "probabilities" if self.new_coords else "logits"

    @property
    def rule(self) -> AnchorRule:
        """How places are chosen."""
        unit: Literal["pixels", "cells"] = "cells" if self.kind == "region" else "pixels"
        return AnchorRule(self.anchors, self.assign_threshold, self.assign, unit, self.all_anchors, self.anchor_mask)


@dataclass(frozen=True)
class LossParts:
    """The parts of a batch's loss, weighted: tensors without dimensions. positives: per head the places that answered."""

    box: Tensor
    objectness: Tensor
    classes: Tensor
    positives: Sequence[Positives] = field(repr=False)

    @property
    def total(self) -> Tensor:
        """Their sum, on which to call backward."""
        return self.box + self.objectness + self.classes

    @property
    def targets(self) -> int:
        """How many places answered for a box."""
        return sum(map(len, self.positives))


class DetectionLoss:
    """The loss of a network.

    Args:
        heads: in cfg order.

    Attributes:
        heads: the same. reduction: theirs.
        part_names: short names of box, objectness and classes.

    Raises:
        ValueError: no heads, or heads that differ in `reduction` or `best_anchor`.
    """

    part_names: ClassVar[tuple[str, str, str]] = ("box", "obj", "cls")

    def __init__(self, heads: Sequence[HeadLossOptions]) -> None:
        if not heads:
            raise ValueError("a loss needs the options of one head at least")
        if len({(head.reduction, head.best_anchor) for head in heads}) > 1:
            raise ValueError("all heads must have the same reduction and best_anchor")
        self.heads = tuple(heads)
        self.reduction = heads[0].reduction

    def __call__(self, raw: Sequence[Tensor], targets: Tensor, size: tuple[int, int]) -> LossParts:
        """The loss of a batch.

        Half precision is computed in float32. Every head takes part also where no image holds an object, so that all
        processes of a distributed training have gradients for all parameters.

        Args:
            raw: per head (N, A, gy, gx, 5 + classes), what `Darknet` gives in train().
            targets: (n, 6) image, class, centre x, centre y, width, height; the last four as parts of the input's size.
            size: (height, width) of the images, pixels.

        Raises:
            ValueError: shapes that do not fit, or targets that name an image or a class that there is not.
        """
        self._check(raw, targets)
        targets = targets.to(raw[0].device, full_precision(raw[0]).dtype)
        grids = [(one.shape[2], one.shape[3]) for one in raw]
        positives = assign(targets, [head.rule for head in self.heads], grids, size,
                           best_anchor=self.heads[0].best_anchor)
        parts = [_head_loss(head, one, chosen, targets, size)
                 for head, one, chosen in zip(self.heads, raw, positives, strict=True)]
        images = raw[0].shape[0]
        scale = images / 64 if self.reduction == "mean" else 1 / max(images, 1)
        box, objectness, classes = (torch.stack(part).sum() * scale for part in zip(*parts, strict=True))
        return LossParts(box, objectness, classes, positives)

    def prior(self, head: int, bias: Tensor, size: tuple[int, int]) -> Tensor:
        """`prior_biases` of one head, by its number in cfg order."""
        return prior_biases(self.heads[head], bias, size)

    def _check(self, raw: Sequence[Tensor], targets: Tensor) -> None:
        if len(raw) != len(self.heads):
            raise ValueError(f"{len(raw)} outputs do not fit {len(self.heads)} heads")
        for number, (head, one) in enumerate(zip(self.heads, raw, strict=True)):
            places = (len(head.anchors), 5 + head.classes)
            if one.ndim != 5 or (one.shape[1], one.shape[4]) != places or one.shape[0] != raw[0].shape[0]:
                raise ValueError(f"head {number}: {tuple(one.shape)} is not (N, {places[0]}, gy, gx, {places[1]}) with "
                                 "the same N in all heads")
        if targets.ndim != 2 or targets.shape[1] != 6:
            raise ValueError(f"targets {tuple(targets.shape)} must be (n, 6): image, class, x, y, width, height")
        if len(targets):
            least, most = torch.stack((targets[:, :2].amin(0), targets[:, :2].amax(0))).tolist()
            classes = min(head.classes for head in self.heads)
            if least[0] < 0 or most[0] >= raw[0].shape[0] or least[1] < 0 or most[1] >= classes:
                raise ValueError(f"targets name images {least[0]:g} to {most[0]:g} and classes {least[1]:g} to "
                                 f"{most[1]:g}; there are {raw[0].shape[0]} images and {classes} classes")


def prior_biases(options: HeadLossOptions, bias: Tensor, size: tuple[int, int]) -> Tensor:
    """Biases for the convolution before an untrained head, so that it begins by finding next to nothing.

    Objectness and class biases are shifted, as they are, to a mean. "mean": the ancestor's, -4 and -3.6. "sum": YOLOv5's,
    which expects 8 objects in an image, log(8 / cells) but at most -1, and of each class its share, log(0.6 / (classes
    - 1)), 0 for a single class. A logistic before the head (new_coords) is applied to the same biases. A [region] keeps
    its class biases.

    Args:
        options: of the head.
        bias: (A * (5 + classes),), what it was initialised with.
        size: (height, width) of the network's input, pixels.

    Returns:
        A new tensor of the same shape.

    Raises:
        ValueError: another number of biases.
    """
    if bias.shape != (len(options.anchors) * (5 + options.classes),):
        raise ValueError(f"bias {tuple(bias.shape)} does not fit {len(options.anchors)} anchors x "
                         f"(5 + {options.classes} classes)")
    if options.reduction == "mean":
        objectness, classes = -4.0, -3.6
    else:
        cells = (size[0] / options.stride[0]) * (size[1] / options.stride[1])
        objectness = min(math.log(8 / cells), -1.0)
        classes = math.log(0.6 / (options.classes - 1)) if options.classes > 1 else 0.0
    shifted = bias.detach().clone().view(len(options.anchors), -1)
    shifted[:, 4] += objectness - shifted[:, 4].mean()
    if options.kind == "yolo":
        shifted[:, 5:] += classes - shifted[:, 5:].mean()
    return shifted.view(-1)


def _head_loss(options: HeadLossOptions, raw: Tensor, positives: Positives, targets: Tensor,
               size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Box, objectness and class part of one head, weighted and added up over places."""
    rows = full_precision(raw[positives.image, positives.anchor, positives.row, positives.column])
    predicted = predicted_boxes(options, rows, positives, raw, size)
    if options.iou_loss == "mse":
        boxes = _squared_errors(options, rows, predicted, positives, raw, size)
    else:
        boxes = box_loss(predicted, positives.truth, options.iou_loss)
    return (options.box_gain * _added_up(boxes, options),
            options.obj_gain * _added_up(_objectness(options, raw, predicted, positives, targets, size), options),
            options.cls_gain * _added_up(_classes(options, rows[:, 5:], positives.classes), options))


def _added_up(losses: Tensor, options: HeadLossOptions) -> Tensor:
    """The sum, or the mean, which is 0 of nothing."""
    return losses.sum() if options.reduction == "sum" else losses.sum() / max(losses.numel(), 1)


def _anchors_in_cells(options: HeadLossOptions, positives: Positives, raw: Tensor, size: tuple[int, int]) -> Tensor:
    """(m, 2): the anchor of each positive."""
    anchors = positives.truth.new_tensor(options.anchors)
    if options.kind == "yolo":
        anchors = anchors * anchors.new_tensor((raw.shape[3] / size[1], raw.shape[2] / size[0]))
    return anchors[positives.anchor]


def _offsets(options: HeadLossOptions, rows: Tensor) -> Tensor:
    """(m, 2): where in its cell the centre is."""
    xy = rows[:, :2] if options.new_coords else rows[:, :2].sigmoid()
    return xy * options.scale_x_y - 0.5 * (options.scale_x_y - 1)


def predicted_boxes(options: HeadLossOptions, rows: Tensor, positives: Positives, raw: Tensor,
                    size: tuple[int, int]) -> Tensor:
    """The boxes that `decode_yolo` or `decode_region` makes of some rows of a head.

    Args:
        rows: (m, 5 + classes), those of the positives, in float32 or float64.
        raw: the head's output, (N, A, gy, gx, 5 + classes); only its shape matters.
        size: (height, width) of the images, pixels.

    Returns:
        (m, 4): centre x, centre y, width, height in cells, as `Positives.truth`.
    """
    anchors = _anchors_in_cells(options, positives, raw, size)
    cells = torch.stack((positives.column, positives.row), dim=-1)
    factors = (2 * rows[:, 2:4]) ** 2 if options.new_coords else rows[:, 2:4].clamp(max=MAX_LOG_SIZE).exp()
    return torch.cat((_offsets(options, rows) + cells, factors * anchors), dim=-1)


def _squared_errors(options: HeadLossOptions, rows: Tensor, predicted: Tensor, positives: Positives, raw: Tensor,
                    size: tuple[int, int]) -> Tensor:
    """(m,): Darknet's iou_loss=mse (yolo_layer.c: delta_yolo_box; region_layer.c: delta_region_box)."""
    factors = positives.truth[:, 2:] / _anchors_in_cells(options, positives, raw, size)
    wanted = (factors / 4).sqrt() if options.new_coords else factors.log()
    errors = torch.cat((predicted[:, :2] - positives.truth[:, :2], rows[:, 2:4] - wanted), dim=-1)
    losses = 0.5 * errors.square().sum(-1)
    if options.kind == "region":
        return losses
    return losses * (2 - positives.truth[:, 2:].prod(-1) / (raw.shape[2] * raw.shape[3]))


def _objectness(options: HeadLossOptions, raw: Tensor, predicted: Tensor, positives: Positives, targets: Tensor,
                size: tuple[int, int]) -> Tensor:
    """(N, A, gy, gx): the losses of all places; 0 where one is ignored."""
    x = full_precision(raw[..., 4]).contiguous()  # a network in channels_last gives other strides
    place = ((positives.image * x.shape[1] + positives.anchor) * x.shape[2] + positives.row) * x.shape[3]
    place = place + positives.column
    with torch.no_grad():
        if options.objectness_target == "one":
            values = torch.ones_like(predicted[:, 0])
        else:
            values = iou_family(predicted, positives.truth, "iou")
        wanted = torch.zeros_like(x).view(-1).scatter_reduce(0, place, values, "amax").view_as(x)
        ignored = None
        if options.ignore_thresh < 1:
            ignored = _covering(options, raw, targets, size) > options.ignore_thresh
            ignored.view(-1)[place] = False
    losses = cross_entropy(x, wanted, form=options.form, positive_weight=options.obj_pw)
    if options.focal == "modulated":
        losses = focal_modulation(losses, options.focal_gamma, options.focal_alpha)
    return losses if ignored is None else losses.masked_fill(ignored, 0)


def _covering(options: HeadLossOptions, raw: Tensor, targets: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, A, gy, gx): the best IoU of each predicted box with a true one of its image."""
    height, width = size
    stride = (width / raw.shape[3], height / raw.shape[2])
    boxes_only = raw[..., :5].detach()
    if options.kind == "region":
        decoded = decode_region(boxes_only, anchors=options.anchors, stride=stride, softmax=False)
    else:
        decoded = decode_yolo(boxes_only, anchors=options.anchors, stride=stride, scale_x_y=options.scale_x_y,
                              new_coords=options.new_coords)
    predicted = xywh_to_xyxy(decoded[..., :4])
    best = predicted.new_zeros(predicted.shape[:2])
    image = targets[:, 0].long()
    truths = xywh_to_xyxy(targets[:, 2:] * targets.new_tensor((width, height, width, height)))
    truths = truths[image.argsort(stable=True)]
    counts = image.bincount(minlength=raw.shape[0]).tolist()
    for number, own in enumerate(truths.split(counts)):
        if len(own):
            best[number] = pairwise_iou(predicted[number], own).amax(-1)
    return best.view(raw.shape[:4])


def _classes(options: HeadLossOptions, x: Tensor, classes: Tensor) -> Tensor:
    """(m, C), or where the classes of a positive make one loss (m,)."""
    if options.kind == "region" and options.softmax:
        if options.focal == "darknet":
            return darknet_focal_softmax(x, classes)
        losses = F.cross_entropy(x, classes, reduction="none")
    elif options.kind == "region":
        losses = 0.5 * (x - F.one_hot(classes, options.classes)).square()
    elif options.focal == "darknet":
        losses = darknet_focal_classes(x, classes, form=options.form)
        return losses if options.reduction == "sum" else losses / options.classes
    else:
        eps = options.label_smooth_eps
        wanted = F.one_hot(classes, options.classes).to(x.dtype) * (1 - eps) + 0.5 * eps
        losses = cross_entropy(x, wanted, form=options.form, positive_weight=options.cls_pw)
    return focal_modulation(losses, options.focal_gamma, options.focal_alpha) if options.focal == "modulated" else losses
