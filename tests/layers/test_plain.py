"""The small layers: dropout in training, softmax in groups, connected and implicit ones."""

from __future__ import annotations

import pytest
import torch

from tests.layers.networks import darknet, image, last
from utils.errors import CfgError


def test_dropout_keeps_the_mean_in_training_and_does_nothing_in_eval():
    model = darknet("[dropout]\nprobability=.25\n", height=100, width=100)
    x = torch.ones(1, 3, 100, 100)
    assert torch.equal(last(model, x), x)
    y = last(model.train(), x)
    assert sorted(set(y.unique().tolist())) == pytest.approx([0, 4 / 3])
    assert float(y.mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(x, torch.ones_like(x))


def test_softmax_runs_over_groups_of_the_flat_map():
    y = last(darknet("[softmax]\ngroups=3\ntemperature=2\n"), image())
    torch.testing.assert_close(y, torch.softmax(image().flatten(2) / 2, 2).reshape_as(y))


def test_connected_reads_channel_row_column_whatever_the_memory_layout():
    model = darknet("[connected]\noutput=5\nactivation=linear\n")
    layer = model.layers[0]
    expected = image().flatten(1) @ layer.weight.detach().T + layer.bias.detach()
    torch.testing.assert_close(last(model, image())[:, :, 0, 0], expected)
    torch.testing.assert_close(last(model, image().contiguous(memory_format=torch.channels_last))[:, :, 0, 0], expected)


def test_connected_refuses_another_image_size():
    with pytest.raises(CfgError, match=r"small\.cfg:5: .*reads 360 numbers and got 432"):
        last(darknet("[connected]\noutput=5\n"), image(width=12))


def test_implicit_gives_its_weights_to_every_image():
    model = darknet("[implicit]\nfilters=4\natoms=2\n")
    y = last(model, image())
    assert y.shape == (2, 4, 2, 1)
    assert torch.equal(y[1, :, :, 0], model.layers[0].weight)


def test_an_activation_layer_leaves_the_map_that_others_read():
    model = darknet("[convolutional]\nfilters=4\nsize=1\nactivation=linear\n[activation]\nactivation=relu\n"
                    "[shortcut]\nfrom=0\nactivation=linear\n")
    with torch.no_grad():
        out = model.forward_layers(image(), [0, 1, 2])
    assert (out[0] < 0).any()
    torch.testing.assert_close(out[2], out[0] + out[0].clamp(min=0))
