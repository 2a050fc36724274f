"""From the words of --target to limits, and to what a cut should save."""

from __future__ import annotations

import argparse
import math

import pytest

from utils.cli.compression import budget as budget_module
from utils.cli.compression.budget import Budget
from utils.cli.compression.targets import target
from utils.darknet import Network, read_network


class PlantedLatency:
    """Ten multiply-adds take a nanosecond; the first layer saves twice as much per output as per input."""

    def predicted_ms(self, network: Network) -> float:
        return network.macs / 1e7

    def marginal_ms(self, network: Network) -> dict[int, tuple[float, float]]:
        return {0: (0.2, 0.1)}


@pytest.fixture
def network(pair) -> Network:
    return read_network(pair[0])


def budget(network: Network, *words: str) -> Budget:
    return Budget(argparse.Namespace(), network, [target(word) for word in words])


@pytest.mark.parametrize(("word", "name", "most"), [
    ("4x", "parameters", lambda n: n.parameters / 4),
    ("0.25", "parameters", lambda n: n.parameters / 4),
    ("params:1k", "parameters", lambda n: 1000),
    ("gflops:0.001", "GFLOPs", lambda n: 0.001),
    ("gflops:2x", "GFLOPs", lambda n: n.bflops / 2),
    ("size:5kB", "bytes of weights", lambda n: 5000),
    ("size:2x", "bytes of weights", lambda n: (20 + 4 * n.parameters) / 2),
])
def test_a_word_becomes_a_limit_in_its_unit(network, word, name, most):
    (limit,) = budget(network, word).limits
    assert limit.name == name
    assert limit.most == pytest.approx(most(network))


def test_each_quantity_counts_by_how_far_it_has_to_go(network):
    asked = budget(network, "params:8x", "gflops:2x")
    (parameters, first), (macs, second) = asked.units(network)
    assert (parameters, macs) == ("parameters", "macs")
    assert first * network.parameters == pytest.approx(math.log(8))
    assert second * network.macs == pytest.approx(math.log(2))


def test_a_limit_that_is_met_still_counts_a_little(network):
    (_, weight), _ = budget(network, f"params:{2 * network.parameters}", "gflops:2x").units(network)
    assert 0 < weight * network.parameters < math.log(2)


def test_a_latency_is_solved_for_with_the_model_that_was_measured(network, monkeypatch):
    monkeypatch.setattr(budget_module, "_latency_model", lambda args, network: PlantedLatency())
    asked = budget(network, "latency:2x")
    assert asked.limits[0].most == pytest.approx(network.macs / 1e7 / 2)
    ((savings, weight),) = asked.units(network)
    assert weight == pytest.approx(math.log(2) / (network.macs / 1e7))
    assert savings(network.layers[0], 4, 3) == (0.2, 0.1)
    assert savings(network.layers[1], 4, 3) == (0.0, 0.0)


def test_without_a_latency_target_nothing_is_timed(network, monkeypatch):
    monkeypatch.setattr(budget_module, "_latency_model", lambda *_: pytest.fail("timed"))
    assert budget(network, "4x").latency is None
