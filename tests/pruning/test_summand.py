"""What a residual block adds is followed to all that read it, and no further."""

from __future__ import annotations

import numpy as np
import pytest

from tests.generators import random_weights
from tests.pruning.compared import small_network
from tests.pruning.measured import measured
from tests.pruning.test_groups import conv
from utils.darknet import Network
from utils.pruning import residual_blocks
from utils.pruning.summand import carried_variances

BLOCK = conv(3) + conv(4) + "[shortcut]; from=-3; activation=linear\n"


def carried(network: Network, number: int = 0) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """What the block carries, and the variance of its branch."""
    statistics = measured(network, random_weights(network))
    block = residual_blocks(network)[number]
    return carried_variances(network, block, statistics), statistics.variances[block.branch[-1]]


def test_the_branch_arrives_at_its_sum_and_at_later_sums_of_the_stage():
    found, variance = carried(small_network(conv(4) + BLOCK + BLOCK + conv(5)))
    assert set(found) == {3, 6}  # convolutions end it
    np.testing.assert_array_equal(found[3], variance)
    np.testing.assert_array_equal(found[6], variance)


def test_a_later_block_carries_nothing_back():
    found, _ = carried(small_network(conv(4) + BLOCK + BLOCK + conv(5)), 1)
    assert set(found) == {6}


def test_it_passes_routes_at_its_place_poolings_and_upsampling():
    network = small_network(conv(4) + BLOCK + "[maxpool]; size=2; stride=1\n" + "[upsample]; stride=2\n" + conv(6)
                            + "[route]; layers=-1,-2\n" + "[route]; layers=-1; groups=2; group_id=1\n" + conv(5))
    found, variance = carried(network)
    assert set(found) == {3, 4, 5, 7, 8}
    np.testing.assert_array_equal(found[7], [0] * 6 + variance.tolist())
    np.testing.assert_array_equal(found[8], [0, *variance])


def test_an_upsampling_that_scales_scales_the_variance_by_the_square():
    found, variance = carried(small_network(conv(4) + BLOCK + "[upsample]; stride=2; scale=0.5\n" + conv(5)))
    np.testing.assert_allclose(found[4], 0.25 * variance)


@pytest.mark.parametrize("activation", ["leaky", "mish"])
def test_a_sum_that_is_bent_ends_it(activation):
    bent = BLOCK.replace("linear", activation)
    found, _ = carried(small_network(conv(4) + BLOCK + bent + conv(5)))
    assert set(found) == {3}


def test_a_narrower_sum_takes_the_channels_that_both_have():
    network = small_network(conv(4) + BLOCK + conv(2) + "[shortcut]; from=-2; activation=linear\n" + conv(5))
    found, variance = carried(network)
    np.testing.assert_array_equal(found[5], variance[:2])
