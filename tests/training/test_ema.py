"""The moving average against a slow loop in double precision, and going on with it after a break."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from torch import nn

from models import Darknet, get_weights
from utils.darknet import Header, parse_network
from utils.training.ema import ModelEma

CFG = ("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\n"
       "activation=leaky\n[convolutional]\nfilters=6\nsize=1\nactivation=linear\n[yolo]\nmask=0\nanchors=3,4\nclasses=1\n"
       "num=1\n[route]\nlayers=0\n[convolutional]\nfilters=6\nsize=1\nactivation=linear\nshare_index=1\n[yolo]\nmask=0\n"
       "anchors=3,4\nclasses=1\nnum=1\n")


def model() -> Darknet:
    return Darknet(parse_network(CFG, "my.cfg"))


def shake(net: Darknet, seed: int) -> None:
    """What an optimiser step does: other parameters, other statistics, one more batch."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())):
            tensor += torch.randn(tensor.shape, generator=generator)
        net.layers[0].bn.num_batches_tracked += 1


def test_the_average_is_that_of_the_formula():
    net = model()
    ema = ModelEma(net, decay=0.9, ramp=3)
    expected = {name: value.double().numpy().copy() for name, value in net.state_dict().items()}
    for step in range(1, 6):
        shake(net, step)
        ema.update(net)
        decay = 0.9 * (1 - math.exp(-step / 3))
        for name, value in net.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double().numpy()
    for name, value in ema.model.state_dict().items():
        if "num_batches" in name:
            assert value == 5
        else:
            np.testing.assert_allclose(value.numpy(), expected[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("update", "decay"), [(1, 0.9999 * (1 - math.exp(-1 / 2000))), (2000, 0.9999 * (1 - 1 / math.e)),
                                               (10**6, 0.9999)])
def test_the_decay_grows_with_the_updates(update, decay):
    assert ModelEma(model()).decay_at(update) == pytest.approx(decay, rel=1e-12)
    assert ModelEma(model(), decay=0.5, ramp=0).decay_at(1) == 0.5


def test_a_network_that_stands_still_is_its_own_average_bit_for_bit():
    net = model()
    ema = ModelEma(net)
    for _ in range(3):
        ema.update(net)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), ema.model.state_dict().values(), strict=True))


def test_the_average_is_a_network_of_its_own():
    net = model().train()
    net.header = Header(seen=1)
    ema = ModelEma(nn.DataParallel(net))  # as DistributedDataParallel, it holds the network as `module`
    assert isinstance(ema.model, Darknet)
    assert net.training
    assert not ema.model.training
    assert not any(p.requires_grad for p in ema.model.parameters())
    assert all(p.requires_grad for p in net.parameters())
    assert ema.model.network is net.network
    assert ema.model.layers[4].weight is ema.model.layers[1].weight
    assert not {p.data_ptr() for p in net.parameters()} & {p.data_ptr() for p in ema.model.parameters()}
    net.header = Header(seen=64)
    ema.update(nn.DataParallel(net))
    assert get_weights(ema.model).header.seen == 64


def test_after_a_break_it_goes_on_to_the_same_bits():
    net = model()
    whole = ModelEma(net, decay=0.99, ramp=2)
    for step in range(6):
        if step == 3:
            file = io.BytesIO()
            torch.save(whole.state_dict(), file)
            file.seek(0)
            resumed = ModelEma(net, decay=0.99, ramp=2)
            resumed.load_state_dict(torch.load(file, weights_only=True))
        shake(net, step)
        whole.update(net)
        if step >= 3:
            resumed.update(net)
    assert resumed.updates == whole.updates == 6
    assert all(torch.equal(a, b) for a, b in
               zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True))


def test_the_saved_state_does_not_move_with_the_average():
    net = model()
    ema = ModelEma(net, decay=0.5, ramp=0)
    state = ema.state_dict()
    before = state["model"]["layers.0.weight"].clone()
    shake(net, 0)
    ema.update(net)
    assert torch.equal(state["model"]["layers.0.weight"], before)


@pytest.mark.parametrize("numbers", [(1.0, 10), (-0.1, 10), (0.9, -1)])
def test_decays_that_are_none_are_refused(numbers):
    with pytest.raises(ValueError, match="decay"):
        ModelEma(model(), *numbers)
