"""Which images make which batch."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.datasets import BatchOrder, MultiScale, rect_shape
from utils.errors import OptionError

SHAPES = np.random.default_rng(0).integers(50, 900, (60, 2))


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_every_image_comes_once_and_all_processes_have_batches_of_equal_size(images, batch, world, rect, epoch):
    orders = [BatchOrder(images, batch, (96, 96), rank=rank, world=world, shapes=SHAPES[:images] if rect else None)
              for rank in range(world)]
    plans = [order.requests(epoch) for order in orders]
    assert {len(plan) for plan in plans} == {len(orders[0])}
    for together in zip(*plans, strict=True):
        assert len({(len(one.indices), one.size, one.number, one.mosaic) for one in together}) == 1
    sizes = [len(one.indices) for one in plans[0]]
    positions = [p for plan in plans for one in plan for p in one.positions]
    assert len(set(positions)) == len(positions) == sum(sizes) * world
    share = -(-images // world)
    left = share % batch
    wanted = share - left * (share > batch and left == 1)
    assert sum(sizes) == wanted
    assert sorted(sizes, reverse=True)[:-1] == [batch] * (len(sizes) - 1)
    seen = Counter(i for plan in plans for one in plan for i in one.indices)
    extra = share * world - images
    if wanted == share:
        assert set(seen) == set(range(images))
        assert sum(seen.values()) == images + extra
        assert max(seen.values()) <= 1 + -(-extra // images)


@pytest.mark.parametrize("rect", [False, True])
def test_several_processes_together_see_the_batches_of_one(rect):
    shapes = SHAPES[:48] if rect else None
    one = BatchOrder(48, 12, (96, 96), shapes=shapes).requests(4)
    parts = [BatchOrder(48, 4, (96, 96), rank=rank, world=3, shapes=shapes).requests(4) for rank in range(3)]
    for whole, *shares in zip(one, *parts, strict=True):
        together = sorted(pair for share in shares for pair in zip(share.positions, share.indices, strict=True))
        assert together == list(zip(whole.positions, whole.indices, strict=True))
        assert {share.size for share in shares} == {whole.size}


def test_epochs_and_seeds_differ_and_the_same_ones_do_not():
    plans = [tuple(one.indices for one in BatchOrder(50, 8, (64, 64), seed=seed).requests(epoch))
             for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(plans)) == 4
    assert plans[3] == tuple(one.indices for one in BatchOrder(50, 8, (64, 64), seed=1).requests(1))


@pytest.mark.parametrize("base", [(96, 96), (64, 160), (416, 256)])
def test_the_largest_size_is_never_passed_and_does_come(base):
    scale = MultiScale.around(max(base), every=1)
    sizes = {scale.size(base, 0, 0, batch) for batch in range(200)}
    assert max(sizes) == scale.largest(base)


def test_a_lone_image_at_the_end_is_left_out_unless_it_is_all_there_is():
    assert [len(one.indices) for one in BatchOrder(9, 4, (64, 64)).requests(0)] == [4, 4]
    assert [len(one.indices) for one in BatchOrder(10, 4, (64, 64)).requests(0)] == [4, 4, 2]
    assert [len(one.indices) for one in BatchOrder(1, 4, (64, 64)).requests(0)] == [1]
    assert [len(one.indices) for one in BatchOrder(3, 4, (64, 64)).requests(0)] == [3]
    assert [len(one.indices) for one in BatchOrder(3, 1, (64, 64)).requests(0)] == [1, 1, 1]
    missing = {i for epoch in range(200) for i in set(range(9)) - {j for one in BatchOrder(
        9, 4, (64, 64), shapes=SHAPES[:9]).requests(epoch) for j in one.indices}}
    assert missing == set(range(9)), "not always the same one"


def test_rectangles_are_sorted_inside_and_shuffled_outside():
    order = BatchOrder(53, 8, (416, 416), shapes=SHAPES)
    aspect = SHAPES[:, 0] / SHAPES[:, 1]
    for epoch in range(3):
        plan = order.requests(epoch)
        ranges = sorted((aspect[list(one.indices)].min(), aspect[list(one.indices)].max()) for one in plan)
        assert all(first[1] <= second[0] for first, second in pairwise(ranges))
        assert [aspect[list(one.indices)].min() for one in plan] != [low for low, _ in ranges]
        for one in plan:
            assert one.size == rect_shape(SHAPES[list(one.indices)], 416)
            assert one.letterbox
            assert not one.mosaic


def test_mosaics_end_with_an_epoch():
    order = BatchOrder(8, 4, (64, 64), mosaic_until=2)
    assert [order.requests(epoch)[0].mosaic for epoch in range(4)] == [True, True, False, False]
    assert order.requests(0)[0].letterbox is None


def test_weights_draw_with_replacement_as_often_as_they_say():
    weights = np.array([0, 1, 2, 5])
    order = BatchOrder(4, 4, (64, 64), weights=lambda epoch: weights if epoch < 1500 else weights[::-1])
    drawn = np.bincount([i for epoch in range(1500) for one in order.requests(epoch) for i in one.indices], minlength=4)
    np.testing.assert_allclose(drawn / drawn.sum(), weights / 8, atol=0.025)
    assert 3 not in order.requests(1500)[0].indices
    assert order.requests(7) == order.requests(7)


def test_the_range_of_sizes_is_that_of_the_ancestor():
    assert MultiScale.around(416) == MultiScale(320, 608)
    assert MultiScale.around(608) == MultiScale(448, 896 - 32)  # 19 / 1.5 = 12.67 -> 13 + 1; 28.5 -> 28 - 1 = 27
    for side in range(32, 700, 32):
        scale = MultiScale.around(side)
        assert scale.least <= side <= scale.most


def test_a_size_stays_for_some_batches_and_all_of_them_are_drawn():
    order = BatchOrder(3000, 4, (416, 416), multi_scale=MultiScale(320, 608, every=10))
    sizes = [one.size for one in order.requests(0)]
    blocks = [set(sizes[i : i + 10]) for i in range(0, len(sizes), 10)]
    assert all(len(block) == 1 for block in blocks)
    found = Counter(block.pop()[0] for block in blocks)
    assert set(found) == set(range(320, 609, 32))
    assert sizes == [one.size for one in order.requests(0)] != [one.size for one in order.requests(1)]


def test_the_shape_of_the_network_is_kept_and_rectangles_scale_too():
    for number in range(0, 300, 10):
        height, width = MultiScale(320, 608).size((224, 416), 0, 0, number)
        assert 320 <= width <= 608
        assert width % 32 == height % 32 == 0
        assert abs(height - width * 224 / 416) <= 16
    plan = BatchOrder(53, 4, (416, 416), shapes=SHAPES, multi_scale=MultiScale(320, 608, every=1)).requests(0)
    assert len({max(one.size) for one in plan}) > 3


@pytest.mark.parametrize(("options", "message"), [
    ({"batch_size": 0}, "batch size: 0 images are no batch; give 1 or more"),
    ({"images": 0}, "images: there are none; give a list with images"),
    ({"seed": -1}, "seed: -1 is negative; give 0 or more"),
    ({"rank": 2, "world": 2}, "rank: 2 of 2 processes cannot be; count from 0"),
    ({"size": (0, 5)}, "size: 5x0 pixels cannot be; give 1 or more"),
])
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(OptionError) as caught:
        BatchOrder(**{"images": 4, "batch_size": 2, "size": (64, 64), **options})
    assert str(caught.value) == message
    with pytest.raises(OptionError, match="multi-scale"):
        MultiScale(608, 320)
    with pytest.raises(OptionError, match="every 0 batches"):
        MultiScale(320, 608, every=0)
