"""The loss that a network is trained with: the ancestor's, or what the options of its heads say to Darknet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from utils.darknet import HeadTraining, Layer, Network, RegionTraining, head_training
from utils.detection import DetectionLoss, HeadLossOptions
from utils.errors import CfgError, OptionError

Recipe = Literal["ancestor", "darknet"]
RECIPES: tuple[Recipe, ...] = ("ancestor", "darknet")

_DARKNET_SAYS = frozenset({"iou_loss", "iou_normalizer", "obj_normalizer", "cls_normalizer", "iou_thresh",
                           "label_smooth_eps", "focal_loss", "objectness_smooth"})


FROM_THE_CFG = frozenset({"giou", "cls", "cls_pw", "obj", "obj_pw", "iou_t", "fl_gamma"})
"""The hyper-parameters that the recipe "darknet" does not read."""


def recipe_of(network: Network) -> Recipe:
    """Whether a cfg's heads say how they want to be trained.

    "darknet" where one head writes iou_loss, iou_thresh, a normalizer, label_smooth_eps, focal_loss or
    objectness_smooth, or has new_coords=1; else "ancestor".
    """
    speaks = any(_DARKNET_SAYS & _said(head, network) or getattr(head.options, "new_coords", False)
                 for head in network.heads)
    return "darknet" if speaks else "ancestor"


def loss_of_network(network: Network, hyp: Mapping[str, float],
                    recipe: Literal["auto"] | Recipe = "auto") -> DetectionLoss:
    """The loss for a cfg.

    Both recipes take the decoding (scale_x_y, new_coords), label_smooth_eps and focal_loss from the cfg. With new_coords
    places are chosen by ratio: there a centre can leave its cell far enough.

    "ancestor": GIoU, gains and weights from `hyp`, places by IoU of shapes, means. ignore_thresh has no effect. fl_gamma
        above 0 is the ancestor's focal loss on objectness and classes.
    "darknet": all from the cfg, places by Darknet's rule, sums per image; of `hyp` only anchor_t. A [region]'s
        coord_scale, noobject_scale and class_scale are gains, and object_scale / noobject_scale the weight of positive
        objectness.

    In both a box that nobody would answer for goes to the anchor that fits it best.

    Args:
        hyp: giou, cls, cls_pw, obj, obj_pw, iou_t, anchor_t, fl_gamma; others are not read.
        recipe: "auto" takes `recipe_of`.

    Raises:
        CfgError: no heads, a [Gaussian_yolo], or training options that make no sense.
        OptionError: another recipe.
    """
    if not network.heads:
        raise CfgError(network.path, "has no [yolo] or [region] head, so there is no loss to train with",
                       "give the cfg of a detector")
    if recipe == "auto":
        recipe = recipe_of(network)
    if recipe not in RECIPES:
        raise OptionError("--recipe", f"{recipe!r} is unknown", f"use one of auto, {', '.join(RECIPES)}")
    for head in network.heads:
        if head.kind == "gaussian_yolo":
            raise CfgError(head.where, "[Gaussian_yolo] cannot be trained yet",
                           "train the same cfg with [yolo] heads, or train this one in Darknet")
    make = _ancestor if recipe == "ancestor" else _darknet
    return DetectionLoss([make(network, head, said, hyp)
                          for head, said in zip(network.heads, head_training(network), strict=True)])


def _said(head: Layer, network: Network) -> frozenset[str]:
    return frozenset(network.document.sections[head.index + 1].by_key)


def _ancestor(network: Network, head: Layer, said: HeadTraining | RegionTraining,
              hyp: Mapping[str, float]) -> HeadLossOptions:
    options = head.options
    by_ratio = getattr(options, "new_coords", False)
    focal: Literal["off", "modulated", "darknet"] = "darknet" if said.focal_loss else "modulated" if hyp["fl_gamma"] > 0 else "off"
    return HeadLossOptions(
        **_decoding(network, head),
        iou_loss="giou", box_gain=hyp["giou"], obj_gain=hyp["obj"], cls_gain=hyp["cls"],
        obj_pw=hyp["obj_pw"], cls_pw=hyp["cls_pw"],
        label_smooth_eps=getattr(said, "label_smooth_eps", 0.0),
        focal=focal, focal_gamma=hyp["fl_gamma"],
        assign="ratio" if by_ratio else "iou", assign_threshold=hyp["anchor_t"] if by_ratio else hyp["iou_t"],
        reduction="mean")


def _darknet(network: Network, head: Layer, said: HeadTraining | RegionTraining,
             hyp: Mapping[str, float]) -> HeadLossOptions:
    if isinstance(said, RegionTraining):
        return _darknet_region(network, head, said)
    by_ratio = head.options.new_coords
    return HeadLossOptions(
        **_decoding(network, head),
        iou_loss=said.iou_loss, box_gain=said.iou_normalizer, obj_gain=said.obj_normalizer,
        cls_gain=said.cls_normalizer, ignore_thresh=said.ignore_thresh, label_smooth_eps=said.label_smooth_eps,
        focal="darknet" if said.focal_loss else "off",
        objectness_target="iou" if said.objectness_smooth else "one",
        assign="ratio" if by_ratio else "darknet",
        assign_threshold=hyp["anchor_t"] if by_ratio else said.iou_thresh,
        reduction="sum")


def _darknet_region(network: Network, head: Layer, said: RegionTraining) -> HeadLossOptions:
    if said.noobject_scale == 0:
        raise CfgError(said.where, "[region] noobject_scale=0 would let everything be an object",
                       "write noobject_scale=1")
    return HeadLossOptions(
        **_decoding(network, head),
        iou_loss="mse", box_gain=said.coord_scale, obj_gain=said.noobject_scale, cls_gain=said.class_scale,
        obj_pw=said.object_scale / said.noobject_scale, ignore_thresh=said.thresh,
        focal="darknet" if said.focal_loss else "off", objectness_target="iou" if said.rescore else "one",
        assign="darknet", assign_threshold=1.0, reduction="sum")


def _decoding(network: Network, head: Layer) -> dict[str, Any]:
    """What a head's numbers mean."""
    options = head.options
    common = {"kind": head.kind, "anchors": options.own_anchors, "classes": options.classes,
              "stride": (network.net.height / head.shape.height, network.net.width / head.shape.width)}
    if head.kind == "region":
        return {**common, "softmax": options.softmax}
    return {**common, "all_anchors": options.anchors, "anchor_mask": options.anchor_mask,
            "scale_x_y": options.scale_x_y, "new_coords": options.new_coords}
