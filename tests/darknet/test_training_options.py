"""What a cfg says of training: Darknet's defaults, what is written, and errors that name the line."""

from __future__ import annotations

import pytest

from tests.shared import SHARED, needs_shared
from utils.darknet import head_training, net_training, parse_network, read_network
from utils.errors import CfgError

CFG = """[net]
width=64
height=64
channels=3
{net}
[convolutional]
filters=16
size=1
[yolo]
mask=0,1
anchors=4,5, 20,30
num=2
classes=3
{head}
"""
REGION = CFG.replace("[yolo]\nmask=0,1", "[region]")
PUBLISHED = sorted(SHARED.glob("darknet/cases/*.cfg"))


def network(net: str = "", head: str = "", cfg: str = CFG):
    return parse_network(cfg.format(net=net, head=head), "my.cfg")


def test_a_head_that_says_nothing_has_darknets_defaults():
    (head,) = head_training(network())
    assert (head.ignore_thresh, head.truth_thresh, head.iou_thresh) == (0.5, 1, 1)
    assert (head.iou_loss, head.iou_normalizer, head.obj_normalizer, head.cls_normalizer) == ("mse", 0.75, 1, 1)
    assert (head.label_smooth_eps, head.focal_loss, head.objectness_smooth, head.max_delta) == (0, False, False, None)
    assert (head.jitter, head.resize, head.random) == (0.2, 1, 0)
    assert head.said == {"mask", "anchors", "num", "classes"}


def test_a_head_is_read_as_written():
    (head,) = head_training(network(head="iou_loss = ciou\niou_normalizer=0.07 # small\nmax_delta=5\nfocal_loss=1\n"
                                         "objectness_smooth=1\nlabel_smooth_eps=.1\nrandom=1"))
    assert (head.iou_loss, head.iou_normalizer, head.max_delta) == ("ciou", 0.07, 5)
    assert (head.focal_loss, head.objectness_smooth, head.label_smooth_eps, head.random) == (True, True, 0.1, 1)
    assert {"iou_loss", "max_delta"} <= head.said
    assert str(head.where) == "my.cfg:9"


def test_a_region_has_scales():
    (silent,) = head_training(network(cfg=REGION))
    assert (silent.coord_scale, silent.object_scale, silent.noobject_scale, silent.class_scale) == (1, 1, 1, 1)
    assert (silent.thresh, silent.rescore, silent.bias_match) == (0.5, False, False)
    (head,) = head_training(network(cfg=REGION, head="object_scale=5\nthresh=.6\nrescore=1\nbias_match=1"))
    assert (head.object_scale, head.thresh, head.rescore, head.bias_match) == (5, 0.6, True, True)


def test_a_net_that_says_nothing_has_darknets_defaults():
    net = net_training(network())
    assert (net.batch, net.subdivisions, net.momentum, net.decay, net.learning_rate) == (1, 1, 0.9, 0.0001, 0.001)
    assert (net.burn_in, net.max_batches, net.policy, net.steps, net.scales) == (0, 0, "constant", (), ())
    assert (net.angle, net.saturation, net.exposure, net.hue, net.mosaic, net.flip) == (0, 1, 1, 0, False, True)
    assert net.said == {"width", "height", "channels"}


def test_a_net_is_read_as_written():
    net = net_training(network("batch=64\nsubdivisions=8\nlearning_rate=0.00261\nburn_in=1000\nmax_batches=500500\n"
                               "policy=steps\nsteps=400000,450000\nscales=.1,.1\nmosaic=1\nflip=0\nhue=.1"))
    assert (net.batch, net.subdivisions, net.learning_rate, net.burn_in, net.max_batches) == (64, 8, 0.00261, 1000, 500500)
    assert (net.policy, net.steps, net.scales) == ("steps", (400000, 450000), (0.1, 0.1))
    assert (net.mosaic, net.flip, net.hue) == (True, False, 0.1)


@pytest.mark.parametrize(("option", "message"), [
    ("iou_loss=foo", "my.cfg:14: [yolo] iou_loss=foo is unknown; use one of mse, iou, giou, diou, ciou"),
    ("iou_normalizer=much", "my.cfg:14: [yolo] iou_normalizer=much is not a number"),
    ("ignore_thresh=-1", "my.cfg:14: [yolo] ignore_thresh=-1 makes no sense; give 0 or more"),
    ("label_smooth_eps=2", "my.cfg:14: [yolo] label_smooth_eps=2 makes no sense; give 0 to 1"),
])
def test_a_bad_option_of_a_head_is_an_error_with_its_line(option, message):
    with pytest.raises(CfgError) as error:
        head_training(network(head=option))
    assert message in str(error.value)


@pytest.mark.parametrize(("option", "message"), [
    ("learning_rate=abc", "my.cfg:5: [net] learning_rate=abc is not a number"),
    ("batch=0", "my.cfg:5: [net] batch=0 is too small"),
    ("policy=cosine", "my.cfg:5: [net] policy=cosine is unknown; use one of constant, step"),
    ("steps=1,two", "my.cfg:5: [net] steps=1,two is not a list of whole numbers"),
    ("momentum=1.5", "my.cfg:5: [net] momentum=1.5 makes no sense; give 0 to 1"),
    ("scales=.1\npolicy=steps\nsteps=1,2", "my.cfg:5: [net] has 2 steps= and 1 scales=; give each step its scale"),
])
def test_a_bad_option_of_the_net_is_an_error_with_its_line(option, message):
    with pytest.raises(CfgError) as error:
        net_training(network(option))
    assert message in str(error.value)


def test_training_options_are_no_part_of_the_network():
    """A network may be fine-tuned another way: its plans and checkpoints still fit."""
    assert network().fingerprint == network("learning_rate=1", "iou_loss=ciou").fingerprint


def test_a_network_without_heads_has_no_head_options():
    assert head_training(parse_network("[net]\nwidth=8\nheight=8\nchannels=3\n[softmax]\n")) == ()


@needs_shared
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_every_published_cfg_can_be_read(path):
    read = read_network(path)
    assert len(head_training(read)) == len(read.heads)
    assert net_training(read).learning_rate > 0
