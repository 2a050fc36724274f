"""Measuring latency models: a made-up engine is understood, and real ones answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.deploy.pairs import OLD
from tests.generators import networks, random_plan, random_weights
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.darknet import Shape, parse_network
from utils.deploy import ENGINES, latency_table, measure_latency_model
from utils.deploy.latency_table import SWEPT, _input_way, _rising, _step, _subjects
from utils.deploy.layer_probe import Probe, added_ms
from utils.errors import EngineError
from utils.pruning import apply_plan
from utils.pruning.latency_model import places_of


def up(width: int, step: int) -> int:
    return -(-width // step) * step


def cost(inputs: int, outputs: int) -> float:
    """Vectors of 16, and half as much again for inputs that are no multiple of 4."""
    if inputs % 4:
        return 1.5 * (1 + 0.01 * inputs * outputs)
    return 1 + 0.01 * up(inputs, 16) * up(outputs, 16)


@pytest.fixture
def planted_engine(monkeypatch):
    """An engine in which convolutions cost `cost`, other layers nothing, and a whole network twice the sum."""
    def added(probes, engine, threads):
        return [cost(probe.inputs[0].channels, probe.options["filters"]) if probe.layer.kind == "convolutional" else 0.0
                for probe in probes]

    def opened(network, outputs, engine, threads):
        return lambda: 2 * sum(cost(layer.input_shapes[0].channels, layer.shape.channels) for layer in network.layers
                               if layer.kind == "convolutional")

    monkeypatch.setattr(latency_table, "added_ms", added)
    monkeypatch.setattr(latency_table, "opened", opened)


def test_the_steps_of_an_engine_are_found_and_its_times_predicted(planted_engine):
    network = small_network(conv(128, 3) + "[maxpool]; size=2; stride=2\n" + conv(128, 3))
    seen = []
    model = measure_latency_model(network, "planted", progress=lambda done, total: seen.append((done, total)))
    inner = model.tables[places_of(network.layers[2])[0].geometry]
    assert (inner.input_step, inner.output_step) == (16, 16)
    assert inner.unaligned_ms is not None
    assert seen == [(done, 8) for done in range(9)]
    for filters in (64, 100, 52, 63):
        for index in (0, 2):
            smaller = network.with_options({index: {"filters": str(filters)}})
            wanted = 2 * sum(cost(layer.input_shapes[0].channels, layer.shape.channels) for layer in smaller.layers
                             if layer.kind == "convolutional")
            assert model.predicted_ms(smaller) == pytest.approx(wanted, rel=0.02), filters
    assert model.predicted_ms(network) == pytest.approx(model.measured_ms)


@pytest.mark.parametrize("step", [1, 4, 8, 16])
def test_a_step_is_told_from_others(step):
    rng = np.random.default_rng(step)
    times = [1 + 0.02 * up(width, step) + rng.normal(0, 0.01) for width in SWEPT]
    assert _step(SWEPT, times) == step
    assert _input_way(times) == (False, step)
    apart = [ms if width % 4 == 0 else 1.4 * ms for width, ms in zip(SWEPT, times, strict=True)]
    assert _input_way(apart)[0]


def test_a_kind_that_takes_no_time_has_no_steps():
    assert _input_way([0.0] * len(SWEPT)) == (False, 1)


def test_a_table_rises_and_one_that_does_stays():
    noisy = np.array([[1, 5, 3.0], [2, 1, 9]])
    found = _rising(noisy)
    assert (np.diff(found, axis=0) >= 0).all()
    assert (np.diff(found, axis=1) >= 0).all()
    np.testing.assert_array_equal(_rising(found), found)


@settings(max_examples=20, deadline=None)
@given(networks(max_blocks=5))
def test_a_probe_holds_the_layer_at_every_width_that_is_asked_for(network):
    for geometry, subject in _subjects(network).items():
        for inputs in (subject.inputs[0], subject.inputs[-1]):
            for outputs in (subject.outputs[0], subject.outputs[-1]):
                probe, outputs_of = subject.probe(inputs, outputs).network()
                places = [place for layer in probe.layers for place in places_of(layer) if place.geometry == geometry]
                assert outputs in [place.outputs for place in places], geometry
                assert all(probe.layers[index].shape.channels == 1 for index in outputs_of)


@pytest.mark.parametrize("name", sorted(set(ENGINES) - {"darknet"}))
def test_a_real_engine_is_measured_for_everything_that_can_be_cut(name, monkeypatch):
    if ENGINES[name].missing():
        pytest.skip(f"{name} is not installed")
    monkeypatch.setattr(latency_table, "PASSES", 1)
    monkeypatch.setattr(latency_table, "SHARES", (1 / 2, 1))
    monkeypatch.setattr(latency_table, "WHOLE_MS", 1.0)
    monkeypatch.setattr("utils.deploy.layer_probe.TASK_MS", 0.1)
    network = parse_network(OLD)
    model = measure_latency_model(network, name, threads=1)
    assert (model.engine, model.threads) == (name, 1)
    assert model.predicted_ms(network) == pytest.approx(model.measured_ms)
    for seed in range(5):
        smaller, _ = apply_plan(network, random_weights(network), random_plan(network, seed))
        assert 0 < model.predicted_ms(smaller) <= 1.01 * model.measured_ms * 2
        assert set(model.marginal_ms(smaller)) == set(model.marginal_ms(network))


def test_a_larger_layer_adds_more_time():
    network = parse_network(OLD)
    section = network.document.sections[1]
    shapes = Shape(8, 64, 64), Shape(128, 64, 64)
    small, large = added_ms([Probe(network.layers[0], section, (x,), {"filters": x.channels}) for x in shapes],
                            "torch", threads=1)
    assert 0 <= small < large


def test_a_network_that_an_engine_cannot_run_is_an_error():
    with pytest.raises(EngineError, match="OpenCV"):
        measure_latency_model(small_network(conv(4, 3, dilation=2)), "opencv")
