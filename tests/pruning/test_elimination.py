"""The order of elimination: the losses are those of a brute-force refit, and what others can stand in for goes first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import networks, random_weights
from tests.pruning.compared import small_network
from tests.pruning.measured import REDUNDANCIES, measured, planted
from tests.pruning.test_offset import act_conv
from utils.darknet import Network
from utils.pruning import Plan, channel_groups, residual_blocks
from utils.pruning.elimination import Step, _Source, elimination_order
from utils.pruning.statistics import ActivationStatistics
from utils.pruning.surgery import planned_network

C, FILTERS, RIDGE = 9, 5, 1e-3


def source_of(seed: int, classes: np.ndarray, readers: int = 1) -> tuple[_Source, np.ndarray, list[np.ndarray]]:
    """A source with random covariance; also the covariance and the kernels (filters, C) of its readers."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(200, len(classes))) @ rng.normal(size=(len(classes), len(classes)))
    covariance = np.cov(x.T)
    kernels = [rng.normal(size=(FILTERS, len(classes))) for _ in range(readers)]
    source = _Source(0, 0, classes, np.linalg.inv(covariance))
    for number, kernel in enumerate(kernels):
        source.read_by(number, kernel.T @ kernel)
    source.measure()
    return source, covariance, kernels


def refitted(covariance: np.ndarray, kernel: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, float]:
    """The kernel on the kept inputs that is nearest to the whole one, and the variance that it misses."""
    best = np.linalg.solve(covariance[np.ix_(kept, kept)], covariance[kept] @ kernel.T).T
    error = kernel.copy()
    error[:, kept] -= best
    return best, float(np.trace(error @ covariance @ error.T))


@pytest.mark.parametrize("readers", [1, 3])
def test_losses_are_those_of_a_refit_without_the_channel_along_the_whole_way(readers):
    source, covariance, kernels = source_of(0, np.arange(C), readers)
    kept, missed = np.arange(C), 0.0
    for position in np.random.default_rng(1).permutation(C)[:-1]:
        for candidate in kept:
            without = kept[kept != candidate]
            lost = sum(refitted(covariance, kernel, without)[1] for kernel in kernels) - missed
            assert source.losses[candidate] == pytest.approx(lost, rel=1e-6)
        missed += source.losses[position]
        kept = kept[kept != position]
        source.lose(np.array([position]))
        energy = sum(np.square(refitted(covariance, kernel, kept)[0]).sum(axis=0) for kernel in kernels)
        np.testing.assert_allclose(source.energy[kept], energy, rtol=1e-6)
        assert source.losses[position] == 0


def test_a_class_that_stands_in_a_source_several_times_is_lost_at_all_its_places_at_once():
    classes = np.array([0, 1, 2, 0, 1, 3, 0])
    source, covariance, (kernel,) = source_of(2, classes)
    kept, missed = np.arange(len(classes)), 0.0
    for chosen in (1, 0, 3):
        for candidate in np.unique(classes[kept]):
            lost = refitted(covariance, kernel, kept[classes[kept] != candidate])[1] - missed
            assert source.losses[classes == candidate].sum() == pytest.approx(lost, rel=1e-6)
        missed += source.losses[classes == chosen].sum()
        kept = kept[classes[kept] != chosen]
        source.lose(np.flatnonzero(classes == chosen))


def test_products_that_wait_change_nothing(monkeypatch):
    found = []
    for waiting in (1, 4, 1000):
        monkeypatch.setattr("utils.pruning.elimination._WAITING", waiting)
        source, *_ = source_of(3, np.arange(30), 2)
        losses = []
        for _ in range(25):
            position = int(np.where(source.losses > 0, source.losses, np.inf).argmin())
            losses.append((position, source.losses[position]))
            source.lose(np.array([position]))
        found.append(np.array(losses))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-8)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-8)


def order_of(network: Network, statistics: ActivationStatistics, weights=None, **options: object) -> tuple[Step, ...]:
    groups = channel_groups(network)
    weights = random_weights(network) if weights is None else weights
    return elimination_order(network, weights, groups, ~groups.fixed, statistics, **options)


def test_a_single_convolution_loses_its_inputs_in_the_order_of_the_brute_force_losses():
    """Greedy, one reader, equal costs: the next to go is the one whose loss, all else refitted, is least."""
    network = small_network(act_conv(C, "linear"))
    weights = random_weights(network, 4)
    rng = np.random.default_rng(5)
    covariance = np.cov((rng.normal(size=(300, C)) @ rng.normal(size=(C, C))).T)
    kernel = weights.layers[1]["weight"][:, :, 0, 0].astype(np.float64)
    responses = {0: np.ones(C), 1: rng.uniform(0.5, 2, len(kernel))}
    statistics = ActivationStatistics({-1: np.eye(3), 0: covariance}, responses, {})
    order = order_of(network, statistics, weights, exponent=0.0, ridge=0.0)
    scaled = kernel / np.sqrt(responses[1])[:, None]
    kept, expected = np.arange(C), []
    for _ in range(C - 1):
        lost = [refitted(covariance, scaled, kept[kept != candidate])[1] for candidate in kept]
        expected.append(int(kept[np.argmin(lost)]))
        kept = kept[kept != expected[-1]]
    groups = channel_groups(network)
    assert [int(np.flatnonzero(groups.vectors[0] == step.class_id)[0]) for step in order[:-1]] == expected


@pytest.mark.parametrize("kind", REDUNDANCIES)
def test_what_others_can_stand_in_for_goes_first_and_one_of_twins_stays(kind):
    network, weights, redundant = planted(kind)
    groups = channel_groups(network)
    first = order_of(network, measured(network, weights), weights, exponent=0.0, ridge=1e-7)[:len(redundant)]
    gone = {step.class_id for step in first}
    for layer, members in redundant.items():
        assert len(gone & set(groups.vectors[layer][list(members)].tolist())) == 1


def test_a_route_of_a_layer_with_itself_does_not_make_its_channels_worthless():
    """Each copy stands in for the other, but they go together."""
    network = small_network(act_conv(4, "linear") + "[route]; layers=-1,-1\n")
    weights = random_weights(network, 6)
    covariance = np.kron(np.ones((2, 2)), np.diag([1.0, 4.0, 0.01, 9.0]))
    statistics = ActivationStatistics({-1: np.eye(3), 1: covariance}, {0: np.ones(4), 2: np.ones(6)}, {})
    groups = channel_groups(network)
    kernel = weights.layers[2]["weight"][:, :, 0, 0].astype(np.float64)
    worth = np.square(kernel[:, :4] + kernel[:, 4:]).sum(axis=0) * np.diag(covariance)[:4]
    order = order_of(network, statistics, weights, exponent=0.0, ridge=1e-6)
    assert [step.class_id for step in order] == groups.vectors[0][np.argsort(worth)].tolist()


def residual_network() -> Network:
    """Two blocks after each other, which end in layers 3 and 6."""
    block = act_conv(4, "linear") + act_conv(6, "linear") + "[shortcut]; from=-3; activation=linear\n"
    return small_network(act_conv(6, "linear") + 2 * block + act_conv(5, "leaky"))


def test_a_block_whose_branch_carries_nothing_goes_first():
    network = residual_network()
    weights = random_weights(network, 7)
    quiet = {**weights.layers[2], "gamma": weights.layers[2]["gamma"] * np.float32(1e-4)}
    weights, inside = weights.with_layers({2: quiet}), channel_groups(network).vectors[1]
    order = order_of(network, measured(network, weights), weights)
    place = order.index(Step(block=3))
    assert all(step.class_id in inside for step in order[:place])  # worth nothing either
    assert not any(step.class_id in inside for step in order[place:])  # nobody's any more
    assert all(step.block is None for step in order_of(network, measured(network, weights), weights, blocks=False))


def test_blocks_go_even_where_no_channel_may():
    network = residual_network()
    weights, groups = random_weights(network, 7), channel_groups(network)
    order = elimination_order(network, weights, groups, np.zeros(groups.count, dtype=bool), measured(network, weights))
    assert {step.block for step in order} == {block.shortcut for block in residual_blocks(network)}


def test_when_a_block_goes_those_inside_it_go_with_it():
    inner = act_conv(3, "linear") + act_conv(4, "linear") + "[shortcut]; from=-3; activation=linear\n"
    network = small_network(act_conv(6, "linear") + act_conv(4, "linear") + inner + act_conv(6, "linear")
                            + "[shortcut]; from=-6; activation=linear\n" + act_conv(5, "leaky"))
    assert [block.shortcut for block in residual_blocks(network)] == [4, 6]
    weights = random_weights(network, 9)
    loud_inside = {**weights.layers[3], "gamma": weights.layers[3]["gamma"] * np.float32(10)}
    quiet_outside = {**weights.layers[5], "gamma": weights.layers[5]["gamma"] * np.float32(1e-3)}
    weights = weights.with_layers({3: loud_inside, 5: quiet_outside})
    order = order_of(network, measured(network, weights), weights)
    assert [step.block for step in order if step.block is not None] == [6]


@settings(max_examples=25)
@given(networks(max_blocks=5), st.sampled_from(("parameters", "macs", (("parameters", 0.5), ("macs", 1e-3)))))
def test_everything_that_may_go_does_so_once_and_in_the_same_order_each_time(network, unit):
    weights, groups = random_weights(network), channel_groups(network)
    statistics = measured(network, weights)
    order = elimination_order(network, weights, groups, ~groups.fixed, statistics, unit)
    assert order == elimination_order(network, weights, groups, ~groups.fixed, statistics, unit)
    classes = [step.class_id for step in order if step.class_id is not None]
    blocks = [step.block for step in order if step.block is not None]
    assert len(set(classes)) == len(classes)
    assert not groups.fixed[classes].any()
    assert len(set(blocks)) == len(blocks)
    planned_network(network, Plan("blocks", {}, network.fingerprint, {}, tuple(blocks)))
