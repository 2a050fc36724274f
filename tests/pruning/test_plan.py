"""Keep and Plan: what exists is legal, and a plan survives its journey as text."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generators import networks, pruning_cases, random_plan
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.errors import PlanError
from utils.pruning import Keep, Plan, channel_groups, keep_everything, kept_classes


@st.composite
def keep_pairs(draw) -> tuple[Keep, Keep]:
    """Two legal keeps of one width: each has at least one channel."""
    filters = draw(st.integers(1, 64))
    channels = st.sets(st.integers(0, filters - 1), min_size=1)
    left, right = draw(channels), draw(channels)
    return Keep(filters, tuple(sorted(left))), Keep(filters, tuple(sorted(right)))


@given(keep_pairs())
def test_a_union_keeps_what_either_side_keeps(pair):
    left, right = pair
    merged = left | right
    assert set(merged.channels) == set(left.channels) | set(right.channels)
    assert merged == right | left


@given(keep_pairs())
def test_a_keep_is_its_flags(pair):
    keep, _ = pair
    assert Keep.of_flags(keep.flags) == keep
    assert len(keep) == keep.flags.sum()


@given(st.integers(1, 64))
def test_a_layer_cannot_lose_every_channel(filters):
    with pytest.raises(PlanError, match="keep at least one"):
        Keep(filters, ())


@pytest.mark.parametrize("channels", [(1, 1), (2, 1), (-1, 0), (0, 4), tuple(range(20))])
def test_channels_that_no_layer_has_are_refused(channels):
    with pytest.raises(PlanError):
        Keep(4, channels)


def test_layers_of_two_widths_have_no_union():
    with pytest.raises(PlanError, match="widths 4 and 5"):
        Keep.all(4) | Keep.all(5)


@settings(max_examples=30)
@given(pruning_cases())
def test_a_plan_survives_its_journey_as_json(case):
    *_, plan = case
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert hash(again) == hash(plan)
    assert pickle.loads(pickle.dumps(plan)) == copy.deepcopy(plan) == plan


@settings(max_examples=30)
@given(networks())
def test_keeping_everything_keeps_every_class(network):
    plan = keep_everything(network)
    assert plan.keeps_everything
    assert kept_classes(network, channel_groups(network), plan).all()


def test_plans_differ_if_one_channel_differs():
    network = small_network(conv(4))
    plan = keep_everything(network)
    other = Plan(plan.strategy, plan.parameters, plan.fingerprint, {**plan.keep, 0: Keep(4, (0, 1, 2))})
    assert plan != other
    assert str(other) == "keep_everything(): 9 of 10 channels stay\n  layer   0:    4 ->    3"


@pytest.mark.parametrize(("text", "said"), [
    ("", "is not JSON"),
    ("[1, 2]", "is JSON, but no plan"),
    ('{"format": "bonsai plan", "version": 3}', "version 3, this Bonsai reads 1 to 2"),
    ('{"format": "bonsai plan", "version": 1}', "damaged plan"),
    ('{"format": "bonsai plan", "version": 1, "strategy": "s", "parameters": {}, "fingerprint": "f", "keep": '
     '{"0": {"filters": 4, "channels": "x"}}}', "damaged plan"),
    ('{"format": "bonsai plan", "version": 1, "strategy": "s", "parameters": {}, "fingerprint": "f", "keep": '
     '{"0": {"filters": 4, "channels": []}}}', "^my.json: all 4 channels of a layer would go; keep at least one"),
    ("[" * 100_000, "is not JSON"),
    *[(f'{{"format": "bonsai plan", "version": 1, "strategy": "s", "parameters": {{"global_percent": {value}}}, '
       '"fingerprint": "f", "keep": {}}', "global_percent=.* is no parameter")
      for value in ('"../../evil"', '"a/b"', '".."', "[1]", "NaN", '"' + "x" * 300 + '"')],
])
def test_what_is_no_plan_is_refused_with_its_reason(text, said):
    with pytest.raises(PlanError, match=said):
        Plan.from_json(text, "my.json")


BODY = conv(4) + conv(4) + "[shortcut]; from=0; activation=linear\n[route]; layers=-1; groups=2; group_id=1\n" + conv(4)


def plan_for(network, keep) -> Plan:
    return Plan("mine", {}, network.fingerprint, keep)


@pytest.mark.parametrize(("keep", "said"), [
    ({0: Keep(4, (0, 2)), 1: Keep(4, (1, 2))}, "the two are tied"),
    ({0: Keep(4, (0, 2))}, "the two are tied"),
    ({0: Keep(4, (0, 1, 2)), 1: Keep(4, (0, 1, 2))}, "2, 1 channels in the 2 blocks"),
    ({5: Keep(6, (0, 1))}, "must stay .*head"),
    ({2: Keep(4, (0, 1))}, r"names layer 2, which is a \[shortcut\]"),
    ({77: Keep(4, (0, 1))}, "names layer 77, which is not there"),
    ({0: Keep(5, (0, 1))}, "counts 5 channels in layer 0, it has 4"),
])
def test_a_plan_that_the_network_cannot_follow_is_refused_with_its_reason(keep, said):
    network = small_network(BODY)
    with pytest.raises(PlanError, match=said):
        kept_classes(network, channel_groups(network), plan_for(network, keep))


def test_a_plan_may_leave_out_layers_that_keep_all_they_have():
    network = small_network(BODY)
    kept = kept_classes(network, channel_groups(network), plan_for(network, {4: Keep(4, (3,))}))
    assert (~kept).sum() == 3


def test_a_plan_for_another_network_is_refused():
    network, other = small_network(BODY), small_network(BODY.replace("leaky", "mish"))
    with pytest.raises(PlanError, match="fingerprints differ"):
        kept_classes(other, channel_groups(other), keep_everything(network))


def test_a_comment_or_another_input_size_does_not_part_a_plan_from_its_network():
    network = small_network(BODY)
    plan = keep_everything(network)
    resized = network.resized(32, 32)
    assert kept_classes(resized, channel_groups(resized), plan).all()


@pytest.mark.parametrize("keep", [{0: Keep(16, tuple(range(12)))}])
def test_a_plan_that_lets_darknet_read_past_a_source_is_refused(keep):
    """Layer 1 has 8 channels and reads 16; cut to 12 they would equal the sum's 12, and Darknet adds 12."""
    network = small_network(conv(16) + conv(8) + conv(12) + "[shortcut]; from=1; activation=linear\n" + conv(4))
    with pytest.raises(PlanError, match="reads past the end"):
        kept_classes(network, channel_groups(network), plan_for(network, keep))


@settings(max_examples=30)
@given(networks())
def test_json_of_a_plan_is_readable_by_any_program(network):
    data = json.loads(random_plan(network).to_json())
    assert data["fingerprint"] == network.fingerprint
    for entry in data["keep"].values():
        assert len(entry["channels"]) <= entry["filters"]
