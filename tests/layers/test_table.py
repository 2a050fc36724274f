"""The table of layer modules against the table of sections, and the two against each other on small networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.layers.networks import darknet, image, last
from utils.darknet import SECTIONS
from utils.errors import CfgError, WeightsError
from utils.layers import LAYERS, DarknetLayer, build_layer, fill_layer, layer_arrays

# One section of every kind behind a convolution of 8 channels (layer 0) on a 12 x 12 map.
EXAMPLES = {
    "convolutional": "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\n",
    "connected": "[connected]\noutput=5\nbatch_normalize=1\n",
    "batchnorm": "[batchnorm]\n",
    "activation": "[activation]\nactivation=mish\n",
    "implicit": "[implicit]\nfilters=4\n",
    "maxpool": "[maxpool]\nsize=3\nstride=2\n",
    "local_avgpool": "[local_avgpool]\nsize=3\nstride=2\n",
    "avgpool": "[avgpool]\n",
    "route": "[route]\nlayers=-1,0\n",
    "shortcut": "[shortcut]\nfrom=0\nweights_type=per_channel\nweights_normalization=softmax\n",
    "scale_channels": "[avgpool]\n[scale_channels]\nfrom=0\n",
    "sam": "[sam]\nfrom=0\n",
    "upsample": "[upsample]\n",
    "reorg": "[reorg]\nstride=2\n",
    "reorg3d": "[reorg3d]\nstride=2\n",
    "dropout": "[dropout]\n",
    "empty": "[empty]\n",
    "softmax": "[softmax]\n",
    "yolo": "[yolo]\nclasses=3\n",
    "region": "[region]\nclasses=3\n",
}
GAUSSIAN = "[convolutional]\nfilters=12\n[Gaussian_yolo]\nclasses=3\n"


@pytest.fixture(params=sorted(LAYERS))
def example(request):
    """A network whose last layer is of the kind `request.param`."""
    kind = request.param
    below = GAUSSIAN if kind == "gaussian_yolo" else EXAMPLES[kind]
    model = darknet(f"[convolutional]\nfilters=8\nsize=1\n{below}", height=12, width=12)
    assert model.network.layers[-1].kind == kind
    return model


def test_every_kind_of_section_has_a_module():
    assert set(LAYERS) == set(SECTIONS)


def test_the_module_holds_the_arrays_that_the_section_says_in_name_and_shape(example):
    for layer, module in zip(example.network.layers, example.layers, strict=True):
        assert {name: tuple(tensor.shape) for name, tensor in module.arrays().items()} == \
            {spec.name: spec.shape for spec in layer.arrays}


def test_the_output_has_the_shape_that_the_section_says(example):
    layer = example.network.layers[-1]
    y = last(example, image(height=12, width=12))
    if layer.is_head:
        anchors, entries = layer.options.per_cell, layer.shape.channels // layer.options.per_cell
        assert y.shape == (2, anchors, layer.shape.height, layer.shape.width, entries)
    else:
        assert y.shape == (2, layer.shape.channels, layer.shape.height, layer.shape.width)


def test_each_image_of_a_batch_is_computed_by_itself(example):
    x = image(height=12, width=12)
    both, second = last(example, x), last(example, x[1:])
    torch.testing.assert_close(both[1:], second)


def test_the_memory_layout_of_the_input_does_not_matter(example):
    x = image(height=12, width=12)
    torch.testing.assert_close(last(example, x.contiguous(memory_format=torch.channels_last)), last(example, x))


def test_arrays_come_out_as_they_went_in_even_in_channels_last(example):
    example.to(memory_format=torch.channels_last)
    for module in example.layers:
        put = {name: np.random.default_rng(5).random(tensor.shape, np.float32)
               for name, tensor in module.arrays().items()}
        for array in put.values():
            array.flags.writeable = False
        fill_layer(module, put)
        got = layer_arrays(module)
        assert all(np.array_equal(got[name], put[name]) and got[name].flags.c_contiguous for name in put)


def test_an_array_of_another_shape_names_the_layer():
    module = darknet("[convolutional]\nfilters=4\n").layers[0]
    with pytest.raises(WeightsError, match=r"small\.cfg:5: layer 0 has shape \(4,\) for bias, the weights hold shape"):
        fill_layer(module, {"bias": np.zeros(5, np.float32)})
    with pytest.raises(WeightsError, match="no such array for gamma"):
        fill_layer(module, {"gamma": np.zeros(4, np.float32)})


def test_a_kind_can_be_added_without_touching_the_table():
    section = darknet("[empty]\n").network.layers[0]

    class Double(DarknetLayer):
        def forward(self, x):
            return 2 * x

    table = {**LAYERS, "empty": lambda layer, around: Double(layer)}
    assert torch.equal(build_layer(section, table=table)(image()), 2 * image())
    with pytest.raises(CfgError, match=r"small\.cfg:5: \[empty\] has no torch module"):
        build_layer(section, table={})
