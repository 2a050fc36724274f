"""The smallest shape that holds some images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.datasets import Geometry, rect_shape

sides = st.integers(1, 3000)


@pytest.mark.parametrize(("sizes", "shape"), [
    ([(640, 480)], (320, 416)),
    ([(480, 640)], (416, 320)),
    ([(640, 480), (480, 640)], (416, 416)),
    ([(100, 100)], (416, 416)),
    ([(1000, 10)], (32, 416)),
    ([(640, 492), (640, 100)], (320, 416)),
    ([(640, 493)], (352, 416)),
])
def test_shapes_by_hand(sizes, shape):
    assert rect_shape(np.array(sizes), 416) == shape


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=5), st.integers(1, 20))
def test_no_image_is_smaller_than_in_the_square_and_one_step_less_would_not_do(sizes, steps):
    long_side = 32 * steps
    height, width = rect_shape(np.array(sizes), long_side)
    assert height % 32 == width % 32 == 0
    assert max(height, width) == long_side
    for w, h in sizes:
        square = Geometry(w, h, long_side, long_side, letterbox=True).picture_size
        here = Geometry(w, h, width, height, letterbox=True).picture_size
        assert min(a - b for a, b in zip(here, square, strict=True)) >= 0
    exact = max(h * long_side / max(w, h) for w, h in sizes), max(w * long_side / max(w, h) for w, h in sizes)
    assert height - 32 < exact[0] <= height + 1e-9
    assert width - 32 < exact[1] <= width + 1e-9
