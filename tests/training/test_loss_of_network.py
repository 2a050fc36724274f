"""Which loss a cfg asks for: the recipe, and every option in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models import Darknet
from utils.darknet import parse_network, read_network
from utils.errors import CfgError, OptionError
from utils.training.loss_of_network import loss_of_network, recipe_of

ROOT = Path(__file__).resolve().parents[2]
HYP = {"giou": 1.582, "cls": 27.76, "cls_pw": 1.446, "obj": 21.35, "obj_pw": 3.941, "iou_t": 0.2635, "anchor_t": 4.0,
       "fl_gamma": 0.0}
CFG = """[net]
width=64
height=32
channels=3
[convolutional]
filters={filters}
size=3
stride=16
pad=1
activation={activation}
[{kind}]
anchors=4,5, 20,30, 30,20
num={num}
classes=3
{more}
"""


def network(more: str = "", *, kind: str = "yolo", num: int = 3, filters: int = 16, activation: str = "linear"):
    if kind == "yolo":
        more = f"mask=0,2\n{more}"
    return parse_network(CFG.format(kind=kind, num=num, filters=filters, activation=activation, more=more), "my.cfg")


def only_head(net, recipe="auto", **hyp):
    (head,) = loss_of_network(net, {**HYP, **hyp}, recipe).heads
    return head


@pytest.mark.parametrize(("more", "recipe"), [
    ("", "ancestor"),
    ("ignore_thresh=.7\ntruth_thresh=1\nrandom=1\njitter=.3\nscale_x_y=1.05\nnew_coords=0", "ancestor"),
    ("new_coords=1", "darknet"),
    *((f"{key}={value}", "darknet") for key, value in
      (("iou_loss", "giou"), ("iou_normalizer", 1), ("obj_normalizer", 1), ("cls_normalizer", 1), ("iou_thresh", 1),
       ("label_smooth_eps", 0), ("focal_loss", 0), ("objectness_smooth", 0))),
])
def test_a_cfg_that_says_how_it_is_trained_is_trained_so(more, recipe):
    assert recipe_of(network(more)) == recipe
    assert loss_of_network(network(more), HYP).reduction == {"ancestor": "mean", "darknet": "sum"}[recipe]


@pytest.mark.parametrize(("name", "recipe"), [
    ("yolov3", "ancestor"), ("yolov3-spp", "ancestor"), ("yolov3-tiny", "ancestor"), ("yolov4", "darknet"),
    ("yolov4-csp", "darknet"), ("yolov4-tiny", "darknet"), ("yolov7", "darknet"), ("yolov7-tiny", "darknet")])
def test_the_shipped_cfgs(name, recipe):
    net = read_network(ROOT / "cfg" / f"{name}.cfg")
    assert recipe_of(net) == recipe
    assert len(loss_of_network(net, HYP).heads) == len(net.heads)


def test_the_ancestors_recipe_takes_its_numbers_from_hyp():
    head = only_head(network("scale_x_y=1.1\nignore_thresh=.7"), giou=3.5)
    assert head.anchors == ((4, 5), (30, 20))
    assert (head.classes, head.scale_x_y, head.stride) == (3, 1.1, (16, 16))
    assert (head.iou_loss, head.box_gain, head.obj_gain, head.cls_gain) == ("giou", 3.5, 21.35, 27.76)
    assert (head.obj_pw, head.cls_pw, head.assign, head.assign_threshold) == (3.941, 1.446, "iou", 0.2635)
    assert (head.ignore_thresh, head.objectness_target, head.focal, head.best_anchor) == (1, "one", "off", True)


def test_the_ancestors_recipe_smooths_and_focuses_where_the_cfg_or_hyp_says_so():
    asked = network("label_smooth_eps=0.1\nfocal_loss=1")
    assert only_head(asked, "ancestor").label_smooth_eps == 0.1
    assert only_head(asked, "ancestor").focal == "darknet"
    modulated = only_head(network(), fl_gamma=1.5)
    assert (modulated.focal, modulated.focal_gamma) == ("modulated", 1.5)


def test_darknets_recipe_takes_its_numbers_from_the_cfg():
    head = only_head(network("iou_loss=ciou\niou_normalizer=.07\nobj_normalizer=.4\ncls_normalizer=.5\nignore_thresh=.7\n"
                             "iou_thresh=.213\nlabel_smooth_eps=.1\nobjectness_smooth=1"))
    assert (head.iou_loss, head.box_gain, head.obj_gain, head.cls_gain) == ("ciou", 0.07, 0.4, 0.5)
    assert (head.obj_pw, head.cls_pw, head.ignore_thresh, head.label_smooth_eps) == (1, 1, 0.7, 0.1)
    assert (head.assign, head.assign_threshold, head.objectness_target) == ("darknet", 0.213, "iou")
    assert (head.anchor_mask, head.all_anchors) == ((0, 2), ((4, 5), (20, 30), (30, 20)))


def test_darknets_defaults_stand_where_the_recipe_is_asked_for_and_the_cfg_is_silent():
    head = only_head(network(), "darknet")
    assert (head.iou_loss, head.box_gain, head.ignore_thresh, head.assign_threshold) == ("mse", 0.75, 0.5, 1)


@pytest.mark.parametrize("recipe", ["ancestor", "darknet"])
def test_with_new_coords_places_are_chosen_by_ratio(recipe):
    head = only_head(network("new_coords=1\nscale_x_y=2", activation="logistic"), recipe, anchor_t=3.0)
    assert (head.new_coords, head.scale_x_y, head.assign, head.assign_threshold) == (True, 2, "ratio", 3)


def test_a_regions_scales_are_gains():
    net = network("softmax=1\ncoord_scale=1\nobject_scale=5\nnoobject_scale=.5\nclass_scale=2\nthresh=.6\nrescore=1",
                  kind="region", num=2)
    head = only_head(net, "darknet")
    assert (head.kind, head.softmax, head.iou_loss, head.box_gain, head.cls_gain) == ("region", True, "mse", 1, 2)
    assert (head.obj_gain, head.obj_pw, head.ignore_thresh, head.objectness_target) == (0.5, 10, 0.6, "iou")
    assert recipe_of(net) == "ancestor"
    assert only_head(net).iou_loss == "giou"


@pytest.mark.parametrize("recipe", ["ancestor", "darknet"])
@pytest.mark.parametrize(("kind", "more", "activation"), [
    ("yolo", "scale_x_y=1.05", "linear"), ("yolo", "new_coords=1\nscale_x_y=2\nobjectness_smooth=1", "logistic"),
    ("region", "softmax=1", "linear"), ("region", "softmax=0", "linear")])
def test_a_models_output_can_be_trained_on(kind, more, activation, recipe):
    """With and without objects every parameter has a gradient; a few steps lower the loss."""
    net = network(more, kind=kind, num=3 if kind == "yolo" else 2, activation=activation)
    model, loss = Darknet(net).train(), loss_of_network(net, HYP, recipe)
    images = torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([[0, 0, 0.3, 0.4, 0.3, 0.5], [1, 2, 0.8, 0.5, 0.2, 0.9]])
    loss(model(images), torch.zeros(0, 6), (32, 64)).total.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    seen = []
    for _ in range(30):
        optimizer.zero_grad()
        parts = loss(model(images), targets, (32, 64))
        parts.total.backward()
        optimizer.step()
        seen.append(parts.total.item())
    assert parts.targets >= 2
    assert seen[-1] < 0.8 * seen[0]


def test_the_prior_of_a_fresh_head_uses_its_own_stride():
    net = network("iou_loss=ciou")
    loss = loss_of_network(net, HYP)
    shifted = loss.prior(0, torch.zeros(16), (320, 640)).view(2, 8)
    assert shifted[:, 4].tolist() == pytest.approx([torch.log(torch.tensor(8 / (20 * 40))).item()] * 2)


def test_a_gaussian_head_is_refused_with_its_line():
    net = network("mask=0,2", kind="Gaussian_yolo", filters=24)
    with pytest.raises(CfgError, match=r"my.cfg:11: \[Gaussian_yolo\] cannot be trained yet; train the same cfg with"):
        loss_of_network(net, HYP)


def test_a_classifier_is_refused():
    net = parse_network("[net]\nwidth=8\nheight=8\nchannels=3\n[softmax]\n", "my.cfg")
    with pytest.raises(CfgError, match="no loss to train with; give the cfg of a detector"):
        loss_of_network(net, HYP)


def test_a_region_whose_background_counts_nothing_is_refused():
    net = network("noobject_scale=0", kind="region", num=2)
    with pytest.raises(CfgError, match="noobject_scale=0 would let everything be an object"):
        loss_of_network(net, HYP, "darknet")


def test_an_unknown_recipe_is_refused():
    with pytest.raises(OptionError, match="'yolov5' is unknown; use one of auto, ancestor, darknet"):
        loss_of_network(network(), HYP, "yolov5")
