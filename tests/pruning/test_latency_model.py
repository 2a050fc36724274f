"""The latency model against tables whose formula is known."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings

from tests.generators import pruning_cases
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.darknet import Network, parse_network, read_network
from utils.errors import PlanError
from utils.pruning import LatencyModel, LayerTable, apply_plan
from utils.pruning.latency_model import places_of

BASE, PER_INPUT, PER_OUTPUT, PER_BOTH = 0.5, 0.01, 0.02, 0.003


def cost(inputs: float, outputs: float) -> float:
    return BASE + PER_INPUT * inputs + PER_OUTPUT * outputs + PER_BOTH * inputs * outputs


def planted(network: Network, wholes=((100.0, 100.0),), **words) -> LatencyModel:
    """A model in which every layer of `network` costs what `cost` says."""
    tables = {}
    for place in (place for layer in network.layers for place in places_of(layer)):
        inputs, outputs = (0,) if place.inputs == 0 else (1, 7, 40), (1, 5, 64)
        tables[place.geometry] = LayerTable(inputs, outputs, tuple(tuple(cost(i, o) for o in outputs) for i in inputs),
                                            **words)
    return LatencyModel("opencv", 2, tables, wholes)


def total(network: Network) -> float:
    return sum(cost(places[0].inputs, places[0].outputs) for places in map(places_of, network.layers) if places)


BODY = conv(16) + conv(12, 3) + conv(12, 3, groups=12) + "[maxpool]; size=2; stride=2\n" + conv(6)


@settings(max_examples=40)
@given(pruning_cases(max_blocks=5))
def test_any_cut_network_costs_the_formula_of_its_widths_and_no_more_than_before(case):
    network, weights, plan = case
    model, smaller = planted(network), apply_plan(network, weights, plan)[0]
    depthwise_no_more = [layer for layer in smaller.layers if len(places_of(layer)) == 2]
    if not depthwise_no_more:
        assert model.predicted_ms(smaller) == pytest.approx(total(smaller), rel=1e-9)
    assert model.predicted_ms(smaller) <= model.predicted_ms(network) * (1 + 1e-9)
    for found in (model.marginal_ms(network), model.marginal_ms(smaller)):
        assert all(by_output >= 0 and by_input >= 0 for by_output, by_input in found.values())


def test_marginals_are_the_formulas_derivatives_and_add_up_to_what_a_channel_saves():
    network = small_network(BODY)
    model = planted(network)
    found = model.marginal_ms(network)
    assert found[1] == pytest.approx((PER_OUTPUT + PER_BOTH * 16, PER_INPUT + PER_BOTH * 12))
    assert found[2] == pytest.approx((PER_OUTPUT, 0))  # depthwise: inputs follow from outputs
    assert found[3] == pytest.approx((PER_OUTPUT, 0))
    narrower = network.with_options({0: {"filters": "15"}})
    saved = model.predicted_ms(network) - model.predicted_ms(narrower)
    assert saved == pytest.approx(found[0][0] + found[1][1])


def test_a_sum_is_carried_over_along_the_lines_between_whole_networks():
    network = small_network(BODY)
    summed = total(network)
    model = planted(network, ((summed / 4, 1.0), (summed / 2, 3.0), (summed, 4.0)))
    assert model.predicted_ms(network) == pytest.approx(4)
    assert (model.summed_ms, model.measured_ms) == (summed, 4)
    alone = planted(network).marginal_ms(network)
    assert model.marginal_ms(network)[1][0] == pytest.approx(alone[1][0] * 2 / summed)
    small = small_network(conv(1))
    low = LatencyModel("opencv", 2, planted(small).tables, ((10 * total(small), 1.0), (100 * total(small), 2.0)))
    assert low.predicted_ms(small) == pytest.approx(0.1)


def test_between_multiples_of_a_step_the_time_is_that_of_the_next_multiple():
    table = LayerTable((16, 64), (16, 64, 100), ((1, 4, 6), (2, 8, 12)), input_step=16, output_step=16)
    assert table.ms_at(16, 33) == table.ms_at(16, 48) == pytest.approx(3)
    assert table.ms_at(17, 16) == table.ms_at(32, 16) > table.ms_at(16, 16)
    assert table.ms_at(16, 99) == table.ms_at(16, 100) == 6  # the widest was measured with its own step
    assert table.slopes_at(16, 40) == pytest.approx((3 / 48, 1 / 48 * (1 + 24 / 48 * 3)))


def test_widths_that_are_not_aligned_have_times_of_their_own():
    two = LayerTable((4, 8), (4, 8), ((1, 2), (2, 4)), ((3, 6), (6, 12)))
    assert (two.ms_at(8, 5), two.ms_at(7, 8)) == pytest.approx((2.5, 10.5))
    one = LayerTable((0,), (4, 8), ((1, 2),), ((3, 6),))
    assert (one.ms_at(0, 8), one.ms_at(0, 6)) == pytest.approx((2, 4.5))


def test_no_time_and_no_saving_is_below_zero():
    table = LayerTable((8, 16), (8, 16), ((0.1, 5.0), (5.0, 5.0)))
    assert table.ms_at(1, 1) == 0
    assert table.slopes_at(30, 30) == (0, 0)


@pytest.mark.parametrize(("before", "after"), [
    (conv(4, 3, groups=4), conv(1, 3)),                      # depthwise, cut to one channel
    (conv(8, 3, groups=2), conv(2, 3, groups=2)),            # two groups, cut to one channel each
])
def test_a_convolution_whose_cfg_changes_its_kind_costs_what_it_was_measured_as(before, after):
    width = 2 if "groups=2" in after else 1
    model = planted(small_network(conv(4) + before))
    assert model.predicted_ms(small_network(conv(width) + after)) > 0


@pytest.mark.parametrize("head", ["[yolo]", "[Gaussian_yolo]", "[gaussian_yolo]"])
def test_heads_take_no_time(head):
    network = small_network(conv(4))
    text = "\n".join(network.document.lines).replace("[yolo]", head).replace("filters=6", "filters=10" if "aus" in head else "filters=6")
    assert places_of(parse_network(text).layers[-1]) == ()


def test_another_input_size_is_an_error_that_names_the_layer():
    network = small_network(BODY)
    with pytest.raises(PlanError, match=r"layer 0 \(convolutional 1x1 .* 32x32\) was not measured in opencv; measure this"):
        planted(network).predicted_ms(network.resized(32, 32))


def test_a_model_survives_its_journey_as_json():
    network = small_network(BODY)
    for model in (planted(network), planted(network, unaligned_ms=None, input_step=4, output_step=16)):
        again = LatencyModel.from_json(model.to_json())
        assert again == model
        assert again.predicted_ms(network) == model.predicted_ms(network)
    table = LayerTable((0,), (4, 8), ((1.0, 2.0),), ((3.0, 6.0),))
    model = LatencyModel("torch", None, {"g": table}, ((1.0, 2.0),))
    assert LatencyModel.from_json(model.to_json()) == model


def damaged(**changes) -> str:
    data = json.loads(planted(small_network(conv(4))).to_json())
    return json.dumps({**data, **changes})


TABLE = {"inputs": [1, 2], "outputs": [4], "ms": [[1], [2]], "unaligned_ms": None, "input_step": 1, "output_step": 1}


@pytest.mark.parametrize(("text", "said"), [
    ("", "is not JSON"),
    ("{}", "is JSON, but no latency model"),
    (damaged(version=2), "version 2, this Bonsai reads 1"),
    (damaged(tables=[]), "damaged latency model"),
    (damaged(wholes=[[1]]), "damaged latency model"),
    (damaged(wholes=[]), "whole networks do not increase"),
    (damaged(wholes=[[2, 1], [1, 2]]), "whole networks do not increase"),
    (damaged(wholes=[[1, float("nan")]]), "whole networks do not increase"),
    (damaged(tables={"g": {**TABLE, "inputs": [2, 1]}}), r"^my.json: the widths \[2, 1\] of a latency table"),
    (damaged(tables={"g": {**TABLE, "ms": [[1]]}}), "another size than its widths"),
    (damaged(tables={"g": {**TABLE, "ms": [[1], [-1]]}}), "no number of milliseconds"),
    (damaged(tables={"g": {**TABLE, "output_step": 0}}), "a step of a latency table is below 1"),
])
def test_what_is_no_latency_model_is_refused_with_its_reason(text, said):
    with pytest.raises(PlanError, match=said):
        LatencyModel.from_json(text, "my.json")


def test_a_budget_can_ask_often():
    """Some 30 candidates a search: a prediction for yolov4 takes less than 20 ms."""
    network = read_network("cfg/yolov4.cfg")
    model = planted(network)

    def seconds() -> float:
        start = time.process_time()
        model.predicted_ms(network)
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) < 0.02
