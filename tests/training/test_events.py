"""Means that go on where they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.training.events import LossMeans

PARTS = st.fixed_dictionaries({"box": st.floats(0, 100), "obj": st.floats(0, 100)})


def test_before_the_first_batch_there_is_nothing():
    assert LossMeans().means() == {}


@given(st.lists(PARTS, min_size=1, max_size=20), st.data())
def test_they_are_means_and_the_same_when_resumed_from_plain_values(parts, data):
    whole, cut = LossMeans(), data.draw(st.integers(0, len(parts)))
    for part in parts:
        whole.add(part)
    for name in ("box", "obj"):
        assert whole.means()[name] == pytest.approx(sum(part[name] for part in parts) / len(parts))
    first = LossMeans()
    for part in parts[:cut]:
        first.add(part)
    again = LossMeans(dict(first.sums), first.count)
    for part in parts[cut:]:
        again.add(part)
    assert again == whole
