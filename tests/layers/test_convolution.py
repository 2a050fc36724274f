"""[convolutional] against torch.nn.functional and arithmetic by hand; Darknet's own outputs are in tests/contracts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.layers.networks import darknet, image, last


def test_stride_y_is_the_rows_and_stride_x_the_columns():
    model = darknet("[convolutional]\nfilters=4\nsize=3\npad=1\nstride_x=2\nstride_y=3\nactivation=linear\n")
    layer = model.layers[0]
    expected = F.conv2d(image(), layer.weight, layer.bias, stride=(3, 2), padding=1)
    torch.testing.assert_close(last(model, image()), expected)
    assert last(model, image()).shape[2:] == (4, 5)


def test_the_padding_grows_with_the_dilation():
    model = darknet("[convolutional]\nfilters=4\nsize=3\npad=1\ndilation=2\nactivation=linear\n")
    layer = model.layers[0]
    expected = F.conv2d(image(), layer.weight, layer.bias, padding=2, dilation=2)
    torch.testing.assert_close(last(model, image()), expected)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("pad", [0, 1])
def test_the_output_has_the_size_that_the_cfg_reader_says(size, stride, pad):
    model = darknet(f"[convolutional]\nfilters=2\nsize={size}\nstride={stride}\npad={pad}\nactivation=linear\n")
    shape = model.network.layers[0].shape
    assert last(model, image()).shape == (2, shape.channels, shape.height, shape.width)


def test_batch_normalisation_uses_epsilon_1e_5_inside_the_root():
    model = darknet("[convolutional]\nbatch_normalize=1\nfilters=4\nsize=1\nactivation=linear\n")
    layer = model.layers[0]
    with torch.no_grad():
        layer.bn.running_var.fill_(1e-6)
        x = F.conv2d(image(), layer.weight)
        column = (slice(None), None, None)
        expected = (x - layer.bn.running_mean[column]) / (1e-6 + 1e-5) ** 0.5 * layer.bn.weight[column]
        expected = expected + layer.bn.bias[column]
    torch.testing.assert_close(last(model, image()), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("antialiasing", "kernel", "padding"), [
    (1, [[1, 2, 1], [2, 4, 2], [1, 2, 1]], 1),
    (2, [[1, 1], [1, 1]], 0),
])
def test_antialiasing_blurs_the_activated_map_and_takes_the_stride(antialiasing, kernel, padding):
    sections = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
    plain = darknet(sections)
    blurred = darknet(sections + f"stride=2\nantialiasing={antialiasing}\n")
    weight = torch.tensor(kernel, dtype=torch.float32)
    weight = (weight / weight.sum()).expand(4, 1, *weight.shape)
    expected = F.conv2d(last(plain, image()), weight, stride=2, padding=padding, groups=4)
    torch.testing.assert_close(last(blurred, image()), expected)
    assert "kernel" not in "".join(blurred.state_dict())


SHARED = ("[convolutional]\nbatch_normalize=1\nfilters=3\nsize=3\npad=1\nactivation=linear\n"
          "[convolutional]\nbatch_normalize=1\nfilters=3\nsize=3\npad=1\nactivation=leaky\nshare_index=0\ndilation=2\n")


def test_share_index_makes_one_parameter_of_two():
    model = darknet(SHARED)
    first, second = model.layers
    assert second.weight is first.weight
    assert second.bn is first.bn
    assert len(list(model.parameters())) == 3
    model.train()
    model(image()).sum().backward()
    alone = first.weight.grad.clone()
    model.zero_grad()
    model.forward_layers(image(), [0])[0].sum().backward()
    assert not torch.allclose(alone, first.weight.grad)


def test_shared_weights_stay_shared_when_fused():
    model = darknet(SHARED)
    expected = last(model, image())
    torch.testing.assert_close(last(model.fuse(), image()), expected, rtol=1e-4, atol=1e-5)
    assert model.layers[1].weight is model.layers[0].weight


def test_training_reaches_every_parameter_through_overwritten_maps():
    model = darknet("[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
                    "[convolutional]\nfilters=4\nsize=1\nactivation=mish\n"
                    "[shortcut]\nfrom=-2\nactivation=swish\n").double()
    model.train()
    weight = model.layers[0].weight

    def loss(w: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, {"layers.0.weight": w}, (image().double(),)).square().sum()

    assert torch.autograd.gradcheck(loss, (weight.detach().requires_grad_(),), eps=1e-6, atol=1e-3)
