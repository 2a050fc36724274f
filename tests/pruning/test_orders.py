"""Orders and the scores behind them, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from utils.darknet import initial_weights, parse_network
from utils.errors import PlanError
from utils.pruning import channel_groups
from utils.pruning.importance import lamp_importance, weight_norm_importance
from utils.pruning.orders import step_order
from utils.pruning.relevance import class_relevance
from utils.pruning.statistics import ActivationStatistics

NETWORK = parse_network("[net]\nwidth=8\nheight=8\nchannels=1\n"
                        "[convolutional]\nbatch_normalize=1\nfilters=3\nsize=1\nactivation=leaky\n"
                        "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n[yolo]\nmask=0\nanchors=4,4\nclasses=1\nnum=1\n")
UNITS = (("parameters", 1.0),)


@pytest.fixture
def planted():
    """Filters 3, -1, 2 of layer 0, read by 1, 2, 3 with variances 9, 4, 1; each response has variance 10."""
    weights = initial_weights(NETWORK)
    weights.layers[0]["weight"][:] = np.reshape([3, -1, 2], (3, 1, 1, 1))
    weights.layers[0]["gamma"][:] = [0.5, -2, 1]
    weights.layers[1]["weight"][:] = np.reshape([1, 2, 3], (1, 3, 1, 1))
    statistics = ActivationStatistics({-1: np.eye(1), 0: np.diag([9.0, 4.0, 1.0])}, {0: np.ones(3), 1: np.full(6, 10.0)}, {})
    return weights, statistics


def test_relevance_is_the_share_of_what_the_reader_gives(planted):
    weights, statistics = planted
    groups = channel_groups(NETWORK)
    relevance = class_relevance(NETWORK, weights, groups, statistics)
    assert relevance[groups.vectors[0]] == pytest.approx([0.9, 1.6, 0.9], rel=1e-5)


def test_norms_are_in_units_of_their_layer(planted):
    weights, _ = planted
    assert weight_norm_importance(NETWORK, weights, 1)[0] == pytest.approx([1.5, 0.5, 1.0])
    assert weight_norm_importance(NETWORK, weights, 2)[0] == pytest.approx(np.array([9, 1, 4]) * 3 / 14)


def test_lamp_is_a_filters_share_of_itself_and_the_larger_ones(planted):
    weights, _ = planted
    assert lamp_importance(NETWORK, weights)[0] == pytest.approx([1, 1 / 14, 4 / 13])
    weights.layers[0]["weight"][:] = 0
    assert np.isfinite(lamp_importance(NETWORK, weights)[0]).all()


@pytest.mark.parametrize(("criterion", "channels"), [
    ("gamma-max", [0, 2, 1]), ("gamma-sum", [0, 2, 1]), ("l1", [1, 2, 0]), ("l2", [1, 2, 0]), ("lamp", [1, 2, 0]),
    ("taylor", [2, 1, 0]),
])
def test_the_least_goes_first(criterion, channels, planted):
    weights, statistics = planted
    steps = step_order(criterion, NETWORK, weights, statistics, UNITS, taylor={0: np.array([3.0, 2.0, 1.0])})
    places = channel_groups(NETWORK).vectors[0].tolist()
    assert [places.index(step.class_id) for step in steps] == channels


@pytest.mark.parametrize(("criterion", "said"), [("magic", "'magic' is no criterion"), ("taylor", "needs gradients")])
def test_what_cannot_be_ordered_is_told(criterion, said, planted):
    with pytest.raises(PlanError, match=said):
        step_order(criterion, NETWORK, *planted, UNITS)
