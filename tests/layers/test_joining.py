"""Routes, shortcuts, attention: against sums and slices written out, and their errors."""

from __future__ import annotations

import re

import pytest
import torch

from tests.layers.networks import darknet, image, last
from utils.errors import CfgError

CONVS = ("[convolutional]\nfilters={0}\nsize=1\nactivation=linear\n"
         "[convolutional]\nfilters={1}\nsize=1\nactivation=linear\n")


def outputs(model, x):
    with torch.no_grad():
        return model.forward_layers(x, range(len(model.layers)))


def test_a_route_with_groups_takes_its_block_of_every_input():
    out = outputs(darknet(CONVS.format(4, 8) + "[route]\nlayers=-1,0\ngroups=2\ngroup_id=1\n"), image())
    assert torch.equal(out[2], torch.cat((out[1][:, 4:8], out[0][:, 2:4]), 1))


@pytest.mark.parametrize(("first", "second"), [(4, 4), (6, 4), (4, 6)])
def test_a_shortcut_adds_the_channels_that_both_have(first, second):
    out = outputs(darknet(CONVS.format(first, second) + "[convolutional]\nfilters=4\nsize=1\n"
                          "[shortcut]\nfrom=-2,0\nactivation=linear\n"), image())
    expected = out[2].clone()
    for x in (out[1], out[0]):
        shared = min(4, x.shape[1])
        expected[:, :shared] += x[:, :shared]
    torch.testing.assert_close(out[3], expected)


def test_a_shortcut_leaves_its_inputs_alone():
    model = darknet(CONVS.format(2, 4) + "[shortcut]\nfrom=0\nactivation=relu\n")
    torch.testing.assert_close(outputs(model, image())[1], model.forward_layers(image(), [1])[1])


@pytest.mark.parametrize("kind", ["per_feature", "per_channel"])
@pytest.mark.parametrize("normalisation", ["relu", "softmax"])
def test_weights_of_a_shortcut_are_normalised_over_its_inputs(kind, normalisation):
    model = darknet(CONVS.format(4, 4) + f"[shortcut]\nfrom=0\nactivation=linear\nweights_type={kind}\n"
                    f"weights_normalization={normalisation}\n")
    out = outputs(model, image())
    weight = model.layers[2].weight.detach().reshape(2, -1)
    powers = weight.clamp(min=0) if normalisation == "relu" else torch.exp(weight - weight.max(0).values)
    factors = (powers / (1e-4 + powers.sum(0)))[:, :, None, None]
    torch.testing.assert_close(out[2], out[1] * factors[0] + out[0] * factors[1])


def test_maps_that_do_not_meet_name_the_line_and_both_layers():
    model = darknet("[convolutional]\nfilters=3\nsize=1\n[convolutional]\nfilters=3\nsize=3\nstride=2\npad=1\n"
                    "[upsample]\nstride=2\n[route]\nlayers=-1,0\n")
    assert last(model, image(height=14, width=8)).shape[2:] == (14, 8)
    with pytest.raises(CfgError, match=r"small\.cfg:\d+: .*layer 2 \(14x10\), layer 0 \(13x10\).*stride") as caught:
        last(model, image(height=13, width=10))
    line = int(re.match(r"small\.cfg:(\d+)", str(caught.value))[1])
    assert model.network.document.lines[line - 1].strip() == "[route]"


def test_scale_channels_needs_factors_of_one_pixel():
    model = darknet("[convolutional]\nfilters=4\nsize=1\n[maxpool]\nsize=12\nstride=12\npadding=0\n"
                    "[scale_channels]\nfrom=0\n", height=12, width=12)
    out = outputs(model, image(height=12, width=12))
    torch.testing.assert_close(out[2], out[0] * out[1])
    with pytest.raises(CfgError, match=r"small\.cfg:\d+: .*2x1, which should be 1x1"):
        last(model, image(height=24, width=12))
