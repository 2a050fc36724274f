"""The rounds of a compression, with a compressor and a judge that give planted numbers."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from utils.cli.compression.rounds import Rounds
from utils.errors import TargetError
from utils.pruning import Limit


@dataclass
class Net:
    """A network of so many parameters."""

    parameters: float


@dataclass
class Cut:
    network: Net
    heads: tuple[float, ...] = (0.1,)
    residual: float = 0.1
    tried: tuple = ()


@dataclass
class Compressor:
    """Reaches its limits times `overshoot`, and nothing below `smallest`; from the original it misses `at_once`."""

    overshoot: float = 1.0
    smallest: float = 0.0
    at_once: float = 0.2
    network: Net = field(default_factory=lambda: Net(1600))

    @property
    def uncut(self) -> Cut:
        return Cut(self.network, heads=())

    def check(self, limits) -> None:
        pass

    def layers(self, current) -> int:
        return 1

    def cut(self, current, limits, units, advance) -> Cut:
        if limits[0].most < self.smallest:
            raise TargetError("my.cfg", "cannot be so small", "ask for more")
        return Cut(Net(limits[0].most * self.overshoot), residual=0.1 if current.heads else self.at_once)


class Judge:
    """mAP and agreement by how many times smaller a network is."""

    def __init__(self, map50=None, agreement=None) -> None:
        self._map50, self._agreement = map50, agreement

    def judged(self, found, network):
        times = network.parameters / found.network.parameters
        return SimpleNamespace(value=times, map50=self._map50 and self._map50(times), missed=0.1,
                               agreement=self._agreement and self._agreement(times))


@pytest.fixture
def rounds(monkeypatch):
    """Makes Rounds of a compressor, a judge and flags."""
    monkeypatch.setattr("utils.cli.compression.rounds.Budget", lambda args, network, targets: budget(1 / targets[0].most))

    def make(compressor=None, judge=None, **flags) -> Rounds:
        args = argparse.Namespace(**{"rounds": None, "max_drop": None, "min_agreement": 0.5, "quiet": True, **flags})
        judge = judge or Judge()
        compressor = compressor or Compressor()
        return Rounds(args, compressor, judge, judge.judged(compressor.uncut, compressor.network))

    return make


def budget(times: float):
    limit = Limit("parameters", lambda network: network.parameters, 1600 / times)
    return SimpleNamespace(limits=(limit,), units=lambda network: ())


def sizes(rounds: Rounds) -> list[float]:
    return [found.network.parameters for found, _ in rounds.done]


def test_each_round_halves_at_most_and_the_last_is_taken(rounds):
    run = rounds()
    assert run.towards(budget(8))[0].network.parameters == pytest.approx(200)
    assert sizes(run) == pytest.approx([800, 400, 200])
    run = rounds(rounds=1)
    run.towards(budget(8))
    assert sizes(run) == pytest.approx([200])


def test_one_cut_is_taken_where_it_misses_less_than_many_rounds(rounds):
    run = rounds(Compressor(at_once=0.05))
    assert run.towards(budget(8))[0].residual == 0.05
    assert sizes(run) == pytest.approx([800, 400, 200]), "the round that it beats is no point of the curve"
    assert [found.residual for found, _ in run.done] == [0.05, 0.1, 0.05]
    run = rounds(Compressor(at_once=0.05), rounds=3)
    assert run.towards(budget(8))[0].residual == 0.1, "three rounds were asked for"
    run = rounds(Compressor(at_once=0.05))
    run.towards(budget(4))
    assert sizes(run) == pytest.approx([800, 400]), "two are not many"


def test_one_cut_is_tried_where_rounds_break_the_network(rounds):
    class ByMisses(Judge):
        def judged(self, found, network):
            survives = found.residual < 0.1 or found.network.parameters > 300
            return SimpleNamespace(value=1600 / found.network.parameters, map50=None, missed=0.1, agreement=0.9 if survives else 0.1)

    run = rounds(Compressor(at_once=0.05), ByMisses())
    found, point = run.towards(budget(8))
    assert (found.network.parameters, point.agreement) == (pytest.approx(200), 0.9)


def test_a_round_whose_limit_is_met_already_is_left_out(rounds):
    run = rounds(Compressor(overshoot=0.4))
    assert run.towards(budget(8))[0].network.parameters == pytest.approx(80)
    assert sizes(run) == pytest.approx([320, 80]), "the first met the limit of the second, too"


def test_it_stops_before_the_network_breaks_and_says_so(rounds, caplog):
    run = rounds(judge=Judge(agreement=lambda times: 1.1 - 0.1 * times))
    assert run.towards(budget(8))[0].network.parameters == pytest.approx(400)
    assert "stopped before the network breaks: at 8.00x fewer parameters the agreement with the original is 0.300" in caplog.text
    with pytest.raises(TargetError, match="below --min-agreement 0.95.*nothing was written"):
        rounds(judge=Judge(agreement=lambda times: 1.1 - 0.1 * times), min_agreement=0.95).towards(budget(8))


def test_the_smallest_within_the_drop_is_taken(rounds):
    run = rounds(judge=Judge(map50=lambda times: 0.8 - 0.01 * times), max_drop=0.04)
    assert run.towards(budget(8))[0].network.parameters == pytest.approx(400)
    assert len(run.done) == 3
    with pytest.raises(TargetError, match="no round loses at most 0.001 mAP@0.5: at 2.00x it loses 0.0100"):
        rounds(judge=Judge(map50=lambda times: 0.8 - 0.01 * times), max_drop=0.001).towards(budget(8))


def test_without_a_target_rounds_go_on_until_the_drop_and_then_look_between(rounds):
    run = rounds(judge=Judge(map50=lambda times: 0.8 - 0.01 * (times - 1)), max_drop=0.02)
    point = run.until_dropped()[1]
    assert 2.25 < point.value <= 3
    assert [1600 / size for size in sizes(run)] == pytest.approx([1.5, 2.25, 3.375, 7.59375**0.5, (7.59375**0.5 * 3.375)**0.5])
    with pytest.raises(TargetError, match="no round loses at most 0 mAP@0.5"):
        rounds(judge=Judge(map50=lambda times: 0.8 - times), max_drop=0).until_dropped()


def test_and_until_nothing_is_left_to_cut(rounds):
    run = rounds(Compressor(smallest=500), Judge(map50=lambda _: 0.8), max_drop=0.02)
    assert 2.25 < run.until_dropped()[1].value <= 3.2
