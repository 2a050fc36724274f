"""Folding batch normalisation: against the formula in double precision, and on networks that share or mix layers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from tests.layers.networks import darknet, image, last
from utils.layers import folded


def test_the_folded_weights_are_darknets_to_the_last_bit_of_float32():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 3, 3, 3)).astype(np.float32)
    gamma, beta, mean = (rng.normal(size=6).astype(np.float32) for _ in range(3))
    var = (10.0 ** rng.uniform(-7, 0, 6)).astype(np.float32)
    bn = nn.BatchNorm2d(6, eps=1e-5)
    with torch.no_grad():
        for tensor, array in ((bn.weight, gamma), (bn.bias, beta), (bn.running_mean, mean), (bn.running_var, var)):
            tensor.copy_(torch.from_numpy(array))
    root = np.sqrt(var.astype(np.float64) + 1e-5)
    kernel, bias = folded(torch.from_numpy(weight), bn)
    np.testing.assert_allclose(kernel.numpy(), weight * (gamma / root)[:, None, None, None], rtol=6e-8)
    np.testing.assert_allclose(bias.numpy(), beta - gamma.astype(np.float64) * mean / root, rtol=6e-8)


def test_a_fused_network_computes_the_same():
    model = darknet("[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\nstride=2\nactivation=mish\n"
                    "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\npad=1\ngroups=8\nactivation=swish\n"
                    "[convolutional]\nfilters=8\nsize=1\nactivation=relu6\n[shortcut]\nfrom=-2\n[batchnorm]\n"
                    "[avgpool]\n[connected]\noutput=4\nbatch_normalize=1\nactivation=leaky\n")
    expected = last(model, image())
    model.fuse()
    assert [type(m).__name__ for m in model.modules()].count("BatchNorm2d") == 1  # the [batchnorm] that stands alone
    torch.testing.assert_close(last(model, image()), expected, rtol=1e-4, atol=1e-5)
