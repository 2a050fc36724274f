"""[reorg], [reorg3d] and [upsample] against index formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.layers.networks import darknet, image, last
from utils.errors import CfgError


def test_reorg_permutes_the_flat_memory_as_reorg_cpu_does():
    s, c, h, w = 2, 8, 6, 4
    x = image(channels=c, height=h, width=w, batch=1)
    flat, expected = x.numpy().ravel(), np.empty(c * h * w, np.float32)
    for k in range(c):
        for j in range(h):
            for i in range(w):
                source_c, offset = k % (c // (s * s)), k // (c // (s * s))
                source = i * s + offset % s + w * s * (j * s + offset // s + h * s * source_c)
                expected[i + w * (j + h * k)] = flat[source]
    model = darknet("[reorg]\nstride=2\n", channels=c, height=h, width=w)
    assert np.array_equal(last(model, x).numpy().ravel(), expected)


def test_reverse_undoes_the_permutation_in_memory():
    x = image(channels=8, height=6, width=4, batch=1)
    there = last(darknet("[reorg]\nstride=2\n", channels=8, height=6, width=4), x)
    back = last(darknet("[reorg]\nstride=2\nreverse=1\n", channels=8, height=6, width=4), there.reshape(1, 8, 6, 4))
    assert torch.equal(back.reshape(-1), x.reshape(-1))


@pytest.mark.parametrize("s", [2, 3])
def test_reorg3d_gathers_the_pixels_of_each_block(s):
    x = image(channels=2, height=6, width=12)
    y = last(darknet(f"[reorg3d]\nstride={s}\n", channels=2, height=6, width=12), x)
    for k in range(2 * s * s):
        assert torch.equal(y[:, k], x[:, k % 2, (k // 2) // s::s, (k // 2) % s::s])


def test_a_size_that_blocks_do_not_divide_is_an_error_with_its_line():
    with pytest.raises(CfgError, match=r"small\.cfg:5: .*cannot cut a map of 8x7x4"):
        last(darknet("[reorg3d]\nstride=2\n", channels=8, height=6, width=4), image(channels=8, height=7, width=4))


def test_upsample_repeats_pixels_and_scales_them():
    x = image()
    y = last(darknet("[upsample]\nstride=3\nscale=0.5\n"), x)
    torch.testing.assert_close(y, x.repeat_interleave(3, 2).repeat_interleave(3, 3) * 0.5)
