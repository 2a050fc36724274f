"""What a plan saved, against numbers counted by hand and those that Darknet prints."""

from __future__ import annotations

import json

import pytest

from tests.generators import random_weights
from tests.pruning.compared import small_network
from tests.pruning.test_groups import case, conv
from tests.pruning.test_offset import plan_without
from tests.shared import needs_shared
from utils.darknet import write_weights
from utils.pruning import NetworkCost, Plan, apply_plan, keep_everything, summarize


def test_the_numbers_of_a_small_network_are_those_counted_by_hand(tmp_path):
    network = small_network(conv(4) + conv(8, 3), width=12, height=10)
    weights = random_weights(network)
    plan = plan_without(network, {0: (3,), 1: (0, 1, 2, 3)})
    plan = Plan("by hand", {"percent": 0.5}, plan.fingerprint, plan.keep)
    smaller, cut = apply_plan(network, weights, plan)
    found = summarize(network, smaller, plan)
    # 1x1 from 3 to 4 with 4 numbers of batch norm each, 3x3 from 4 to 8, 1x1 from 8 to 6 with bias; 120 pixels
    assert found.before.parameters == (3 * 4 + 4 * 4) + (4 * 8 * 9 + 8 * 4) + (8 * 6 + 6)
    assert found.after.parameters == (3 * 3 + 3 * 4) + (3 * 4 * 9 + 4 * 4) + (4 * 6 + 6)
    assert found.before.macs == 120 * (3 * 4 + 4 * 8 * 9 + 8 * 6)
    assert found.after.bflops == pytest.approx(2 * 120 * (3 * 3 + 3 * 4 * 9 + 4 * 6) / 1e9)
    assert [(w.layer, w.before, w.after) for w in found.widths] == [(0, 4, 3), (1, 8, 4), (2, 6, 6)]
    assert found.removed_share == 5 / 12
    assert found.removed_channels_share == pytest.approx(5 / 18)
    assert found.asked_share == 0.5
    for name, net, values, cost in (("a", network, weights, found.before), ("b", smaller, cut, found.after)):
        write_weights(tmp_path / name, net, values)
        assert (tmp_path / name).stat().st_size == cost.weights_bytes


def test_keeping_everything_saves_nothing():
    network = small_network(conv(4))
    found = summarize(network, network, keep_everything(network))
    assert (found.removed_share, found.removed_parameters_share, found.removed_bflops_share) == (0, 0, 0)
    assert found.asked_share is None


def test_a_share_in_words_is_no_share_that_was_asked_for():
    network = small_network(conv(4))
    plan = keep_everything(network)
    assert summarize(network, network, Plan("mine", {"percent": "half"}, plan.fingerprint, plan.keep)).asked_share is None


def test_a_summary_is_plain_json():
    network = small_network(conv(4))
    plan = plan_without(network, {0: (1,)})
    smaller, _ = apply_plan(network, random_weights(network), plan)
    data = json.loads(json.dumps(summarize(network, smaller, plan).to_dict()))
    assert data["after"]["channels"] == 9
    assert data["widths"][0] == {"layer": 0, "before": 4, "after": 3}


@needs_shared
def test_yolov3_at_416_costs_what_darknet_says():
    cost = NetworkCost.of(case("yolov3").resized(416, 416))
    assert cost.weights_bytes == 248007048  # the size of yolov3.weights
    assert cost.bflops == pytest.approx(65.879, abs=5e-4)  # "Total BFLOPS 65.879"
