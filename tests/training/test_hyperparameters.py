"""The numbers of a recipe: the ancestor's, or those of [net], with single ones changed."""

from __future__ import annotations

import pytest

from utils.darknet import parse_network
from utils.darknet.builder import build_cfg
from utils.errors import OptionError
from utils.training.hyperparameters import Hyperparameters, hyperparameters


@pytest.fixture(scope="module")
def network():
    return parse_network(build_cfg("yolov4-tiny"))


def test_the_ancestors_numbers_are_the_default(network):
    hyp = hyperparameters(network, "ancestor")
    assert (hyp.giou, hyp.cls, hyp.cls_pw, hyp.obj, hyp.obj_pw, hyp.iou_t) == (1.582, 27.76, 1.446, 21.35, 3.941, 0.2635)
    assert (hyp.lr0, hyp.momentum, hyp.weight_decay) == (0.002324, 0.97, 0.0004569)


def test_darknets_recipe_takes_what_net_says(network):
    hyp = hyperparameters(network, "darknet")
    said = network.document.sections[0].by_key
    assert hyp.lr0 == float(said["learning_rate"].value)
    assert hyp.momentum == float(said["momentum"].value)
    assert hyp.weight_decay == float(said["decay"].value)


def test_single_numbers_change_and_the_rest_stays():
    changed = Hyperparameters().changed({"giou": 3.5, "mosaic": 0.0})
    assert changed.giou == 3.5
    assert changed.augmentation().mosaic == 0
    assert {**changed.as_dict(), "giou": 1.582, "mosaic": 1.0} == Hyperparameters().as_dict()


@pytest.mark.parametrize(("name", "value", "words"), [
    ("gio", 1.0, "choose from lr0, momentum"), ("momentum", 1.5, "give 0 to 1"), ("giou", -1.0, "give 0 or more"),
    ("obj", float("nan"), "out of range"),
])
def test_what_makes_no_sense_is_refused(name, value, words):
    with pytest.raises(OptionError, match=words):
        Hyperparameters().changed({name: value})
