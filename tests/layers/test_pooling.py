"""Pooling against loops that do what maxpool_layer.c describes: total padding, half of it in front, outside ignored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.layers.networks import darknet, image, last


def pooled(x: np.ndarray, size: int, strides: tuple[int, int], padding: int, reduce) -> np.ndarray:
    """(N, C, H, W) pooled window by window over the pixels that exist."""
    rows, columns = ((side + padding - size) // stride + 1 for side, stride in zip(x.shape[2:], strides, strict=True))
    out = np.empty((*x.shape[:2], rows, columns), x.dtype)
    for i in range(rows):
        for j in range(columns):
            top, left = i * strides[0] - padding // 2, j * strides[1] - padding // 2
            window = x[:, :, max(top, 0):top + size, max(left, 0):left + size]
            out[:, :, i, j] = reduce(window, axis=(2, 3))
    return out


GEOMETRIES = [(size, stride, padding) for size in (1, 2, 3, 4, 5, 7) for stride in (1, 2, 3)
              for padding in {0, 1, size // 2, size - 1} if padding <= size - 1 or padding == 0]


@pytest.mark.parametrize(("size", "stride", "padding"), GEOMETRIES)
@pytest.mark.parametrize("side", [11, 12])
def test_maxpool_takes_the_maximum_of_the_pixels_inside(size, stride, padding, side):
    model = darknet(f"[maxpool]\nsize={size}\nstride={stride}\npadding={padding}\n", height=side, width=13)
    x = image(height=side, width=13)
    expected = pooled(x.numpy(), size, (stride, stride), padding, np.max)
    np.testing.assert_array_equal(last(model, x).numpy(), expected)
    with_gradient = model.forward_layers(x.clone().requires_grad_(), [0])[0]
    np.testing.assert_array_equal(with_gradient.detach().numpy(), expected)


@pytest.mark.parametrize(("size", "stride", "padding"), GEOMETRIES)
def test_local_avgpool_divides_by_the_pixels_inside(size, stride, padding):
    model = darknet(f"[local_avgpool]\nsize={size}\nstride_x={stride}\nstride_y=1\npadding={padding}\n", height=9)
    expected = pooled(image(height=9).numpy(), size, (1, stride), padding, np.mean)
    np.testing.assert_allclose(last(model, image(height=9)).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_size_2_stride_1_keeps_the_size_and_looks_right_and_down():
    model = darknet("[maxpool]\nsize=2\nstride=1\n", channels=1, height=2, width=2)
    x = torch.tensor([[[[4.0, 1.0], [2.0, 3.0]]]])
    assert last(model, x).tolist() == [[[[4.0, 3.0], [3.0, 3.0]]]]


def test_maxpool_depth_takes_every_out_channels_th_channel():
    model = darknet("[maxpool]\nmaxpool_depth=1\nout_channels=2\nsize=1\n", channels=6)
    x = image(channels=6)
    expected = torch.stack((x[:, 0::2].amax(1), x[:, 1::2].amax(1)), 1)
    assert torch.equal(last(model, x), expected)


def test_avgpool_is_the_mean_of_each_channel():
    torch.testing.assert_close(last(darknet("[avgpool]\n"), image())[..., 0, 0], image().mean((2, 3)))


@pytest.mark.parametrize("size", [5, 9, 13])
def test_pooling_of_a_channels_last_map_stays_channels_last(size):
    x = image(channels=8).contiguous(memory_format=torch.channels_last)
    model = darknet(f"[maxpool]\nsize={size}\nstride=1\n", channels=8)
    assert last(model, x).is_contiguous(memory_format=torch.channels_last)
