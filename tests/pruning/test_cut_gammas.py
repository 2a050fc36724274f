"""The gammas that a plan keeps and removes: every channel once, and the threshold between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from tests.pruning.test_slim import gammas_only
from utils.darknet import initial_weights, read_network
from utils.pruning import (
    CutGammas,
    Plan,
    cut_gammas,
    keep_everything,
    layer_channel_plan,
    layer_plan,
    normal_plan,
    shortcut_plan,
    slim_plan,
)

CFG = Path(__file__).resolve().parents[2] / "cfg"
PLANS = {"normal": normal_plan, "shortcut": shortcut_plan, "slim": slim_plan}


@pytest.mark.parametrize("name", PLANS)
def test_without_ties_the_threshold_parts_what_goes_from_what_stays(name):
    network = read_network(CFG / "yolov3-tiny.cfg")
    weights = gammas_only(network, 0)
    found = cut_gammas(network, weights, PLANS[name](network, weights, 0.6))
    assert found.largest_removed <= found.threshold <= found.smallest_kept
    assert (found.largest_removed == found.threshold) == (name == "slim"), "slim keeps what is above, the others from there on"
    assert len(found.removed) == pytest.approx(0.6 * (len(found.removed) + len(found.kept)), abs=1)


def test_channels_of_removed_blocks_go_and_a_histogram_counts_every_channel_once():
    network = read_network(CFG / "yolov3.cfg")
    weights = gammas_only(network, 1)
    plan = layer_channel_plan(network, weights, 8, 0.5)
    found = cut_gammas(network, weights, plan)
    facts = found.to_dict()
    assert sum(facts["removed"]) == len(found.removed)
    assert sum(facts["kept"]) == len(found.kept)
    assert len(facts["edges"]) == len(facts["kept"]) + 1
    assert facts["threshold"] == found.threshold
    whole = cut_gammas(network, weights, keep_everything(network))
    assert len(whole.removed) == 0
    assert len(whole.kept) == len(found.kept) + len(found.removed)
    assert whole.largest_removed is None


def test_layers_have_no_threshold_and_neither_has_a_cut_of_nothing():
    network = read_network(CFG / "yolov3.cfg")
    weights = gammas_only(network, 1)
    assert cut_gammas(network, weights, layer_plan(network, weights, 3)).threshold is None
    assert cut_gammas(network, weights, slim_plan(network, weights, 0.0)).threshold is None


@pytest.mark.parametrize("parameters", [{}, {"global_percent": "a", "layer_keep": 0, "exclude": "none", "reduce": "max"},
                                        {"global_percent": 0.5, "layer_keep": 0.1, "exclude": "all", "reduce": "max"}])
def test_a_plan_whose_parameters_somebody_else_wrote_has_no_threshold(parameters):
    network = small_network(conv(8) + conv(8))
    weights = initial_weights(network)
    plan = Plan("slim", parameters, network.fingerprint, keep_everything(network).keep)
    assert cut_gammas(network, weights, plan).threshold is None


@pytest.mark.parametrize("gammas", [[], [1.0], [1.0, 1.0], [0.0, 1e-12], [0.93, 0.98, 1.07], [1e-9, 3.0]])
def test_any_gammas_have_a_histogram(gammas):
    facts = CutGammas(np.sort(np.array(gammas)), np.array([0.5])).to_dict()
    assert (sum(facts["kept"]), sum(facts["removed"])) == (len(gammas), 1)
    assert facts["edges"] == sorted(set(facts["edges"]))
    assert facts["edges"][-1] >= 2 * facts["edges"][0]
