"""The fast ways compute the convolution that F.conv2d computes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from models import Darknet
from utils.darknet import parse_network
from utils.layers.fast_convolution import convolved, fast_way, fast_ways_pay, prepared

WAYS = ["products", pytest.param("nnpack", marks=pytest.mark.skipif(not torch._nnpack_available(), reason="no NNPACK"))]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(1, 16, 24, 24), (3, 17, 25, 30), (2, 40, 7, 1), (1, 64, 26, 13)])
def test_a_fast_way_gives_the_plain_convolution(way, shape):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(9, shape[1], 3, 3), torch.randn(9)
    exact = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    got = convolved(x.to(memory_format=torch.channels_last), prepared(weight, way), bias, way)
    assert got.shape == exact.shape
    assert (got - exact).abs().max() < 2e-5 * (exact.max() - exact.min())


def test_a_1x1_kernel_on_a_plain_map_is_a_matrix_product():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 5, 4, 3), torch.randn(7, 5, 1, 1), torch.randn(7)
    assert fast_way(x, weight) == "matrix"
    assert fast_way(x.to(memory_format=torch.channels_last), weight) is None
    torch.testing.assert_close(convolved(x, prepared(weight, "matrix"), bias, "matrix"), F.conv2d(x, weight, bias))


def test_small_shallow_and_trainable_inputs_are_left_to_onednn():
    weight = torch.zeros(32, 32, 3, 3)
    assert fast_way(torch.zeros(1, 32, 24, 24), weight) == "nnpack"
    assert fast_way(torch.zeros(1, 32, 23, 99), weight) is None
    assert fast_way(torch.zeros(1, 32, 24, 24, dtype=torch.float64), weight) is None
    assert fast_way(torch.zeros(1, 32, 24, 24, requires_grad=True), weight) is None
    assert fast_way(torch.zeros(1, 256, 13, 13), torch.zeros(512, 256, 3, 3)) == "products"
    assert fast_way(torch.zeros(1, 512, 13, 13), torch.zeros(1024, 512, 3, 3)) is None


@pytest.mark.skipif(not fast_ways_pay(), reason="oneDNN is as fast on this CPU")
def test_a_fused_network_takes_them_and_still_computes_the_same():
    conv = "[convolutional]\nbatch_normalize=1\nfilters={}\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
    network = parse_network("[net]\nwidth=32\nheight=32\nchannels=3\n" + conv.format(256) + conv.format(64)
                            + conv.format(8) + "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n")
    plain, fused = Darknet(network).eval(), Darknet(network).eval()
    fused.load_state_dict(plain.state_dict())
    fused.fuse()
    assert [layer.fast for layer in fused.layers] == [True] * 4
    x = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        want, got = plain(x), fused(x)
    assert [list(layer._prepared) for layer in fused.layers] == [[], ["products"], ["nnpack"], ["matrix"]]
    assert (got - want).abs().max() < 2e-5 * (want.max() - want.min())
