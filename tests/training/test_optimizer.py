"""Parameter groups, optimisers against their formulas, and layers that do not learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from models import Darknet
from tests.generators import networks
from utils.darknet import parse_network
from utils.darknet.builder import build_cfg
from utils.errors import OptionError
from utils.training.optimizer import build_optimizer, freeze, freeze_all_but_heads, set_train_mode

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"
BN = "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
LAST = "[convolutional]\nfilters=6\nsize=1\nactivation=linear\n"
HEAD = "[yolo]\nmask=0\nanchors=3,4\nclasses=1\nnum=1\n"
SUM = "[shortcut]\nfrom=-2\nactivation=linear\nweights_type=per_feature\nweights_normalization=relu\n"
SHARING = (BN + BN + SUM + LAST + HEAD + "[route]\nlayers=2\n" + LAST.replace("size", "share_index=3\nsize") + HEAD)


def model(sections: str = BN + BN + SUM + LAST + HEAD) -> Darknet:
    return Darknet(parse_network(NET + sections, "my.cfg"))


def groups(optimizer: torch.optim.Optimizer) -> dict[str, list[int]]:
    return {group["name"]: [id(p) for p in group["params"]] for group in optimizer.param_groups}


def test_only_kernels_decay():
    net = model()
    optimizer = build_optimizer(net, "sgd", lr=0.1, momentum=0.9, weight_decay=0.5)
    first, second, total, last = net.layers[:4]
    assert groups(optimizer) == {
        "decay": [id(first.weight), id(second.weight), id(last.weight)],
        "no_decay": [id(p) for p in (first.bn.weight, first.bn.bias, second.bn.weight, second.bn.bias, total.weight,
                                     last.bias)]}
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]


def test_connected_kernels_decay_and_implicit_weights_do_not():
    net = model(BN + "[connected]\noutput=5\nactivation=linear\n[implicit]\nfilters=5\n")
    found = groups(build_optimizer(net, lr=0.1))
    assert id(net.layers[1].weight) in found["decay"]
    assert {id(net.layers[2].weight), id(net.layers[1].bias)} < set(found["no_decay"])


@settings(max_examples=25)
@given(networks())
def test_every_parameter_is_in_one_group(network):
    net = Darknet(network)
    found = groups(build_optimizer(net, lr=0.1))
    assert sorted(found["decay"] + found["no_decay"]) == sorted(id(p) for p in net.parameters())


def test_shared_weights_are_in_a_group_once():
    net = model(SHARING)
    found = groups(build_optimizer(net, lr=0.1))
    assert net.layers[6].weight is net.layers[3].weight
    assert found["decay"].count(id(net.layers[3].weight)) == 1
    assert found["no_decay"].count(id(net.layers[3].bias)) == 1


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_nesterovs(momentum):
    net = model()
    optimizer = build_optimizer(net, "sgd", lr=0.1, momentum=momentum, weight_decay=0.5)
    kernel, gamma = net.layers[0].weight, net.layers[0].bn.weight
    expected = {p: p.detach().double().numpy().copy() for p in (kernel, gamma)}
    velocity = {p: 0.0 for p in expected}
    rng = np.random.default_rng(0)
    for _ in range(3):
        for parameter, value in expected.items():
            drawn = rng.normal(size=value.shape)
            parameter.grad = torch.tensor(drawn, dtype=torch.float32)
            gradient = drawn + (0.5 * value if parameter is kernel else 0)
            velocity[parameter] = momentum * velocity[parameter] + gradient
            expected[parameter] = value - 0.1 * (gradient + momentum * velocity[parameter])
        optimizer.step()
    for parameter, value in expected.items():
        np.testing.assert_allclose(parameter.detach().numpy(), value, atol=1e-5)


@pytest.mark.parametrize(("kind", "decays_by"), [("adam", 0.1), ("adamw", 0.1 * 0.5 * 2)])
def test_adam_decays_through_the_gradient_and_adamw_beside_it(kind, decays_by):
    """The first step of Adam is lr * sign(gradient); a kernel of 2 with no gradient of its own shows the decay."""
    net = model()
    optimizer = build_optimizer(net, kind, lr=0.1, momentum=0.8, weight_decay=0.5)
    assert all(group["betas"] == (0.8, 0.999) for group in optimizer.param_groups)
    kernel, gamma = net.layers[0].weight, net.layers[0].bn.weight
    with torch.no_grad():
        kernel.fill_(2)
        gamma.fill_(2)
    kernel.grad, gamma.grad = torch.zeros_like(kernel), torch.zeros_like(gamma)
    optimizer.step()
    torch.testing.assert_close(kernel.detach(), torch.full_like(kernel, 2 - decays_by))
    assert (gamma == 2).all()


@pytest.mark.parametrize(("change", "where"), [({"lr": 0.0}, "--lr0"), ({"lr": float("nan")}, "--lr0"),
                                               ({"momentum": 1.0}, "momentum"), ({"weight_decay": -1.0}, "weight_decay"),
                                               ({"kind": "lion"}, "--optimizer")])
def test_numbers_and_names_that_no_optimiser_takes_are_refused(change, where):
    with pytest.raises(OptionError, match=where):
        build_optimizer(model(), **{"lr": 0.1, **change})


def test_the_first_layers_can_be_frozen():
    net = model()
    assert freeze(net, 2) == (0, 1)
    assert [p.requires_grad for p in net.parameters()] == [False] * 6 + [True] * 3
    found = groups(build_optimizer(net, lr=0.1))
    assert found == {"decay": [id(net.layers[3].weight)], "no_decay": [id(net.layers[2].weight), id(net.layers[3].bias)]}


def test_nothing_left_to_train_is_an_error():
    net = model()
    freeze(net, "5")
    with pytest.raises(OptionError, match="--freeze: leaves nothing to train"):
        build_optimizer(net, lr=0.1)


@pytest.mark.parametrize("spec", [6, "neck", "-1", "1.5"])
def test_layers_that_do_not_exist_cannot_be_frozen(spec):
    with pytest.raises(OptionError, match="--freeze"):
        freeze(model(), spec)


def test_transfer_leaves_the_convolutions_before_the_heads():
    net = model(SHARING)
    frozen = freeze_all_but_heads(net)
    assert frozen == (0, 1, 2, 4, 5, 7)
    learning = {id(p) for p in net.parameters() if p.requires_grad}
    assert learning == {id(net.layers[3].weight), id(net.layers[3].bias)}


@pytest.mark.parametrize(("name", "last"), [("yolov3", 79), ("yolov3-tiny", 13), ("yolov4-tiny", 27)])
def test_the_backbone_is_what_all_heads_need(name, last):
    """The last layers before the ways to the heads part, read off the cfgs."""
    net = Darknet(parse_network(build_cfg(name, width_multiple=0.05)), init=False)
    assert freeze(net, "backbone") == tuple(range(last + 1))


def test_frozen_layers_keep_their_statistics_and_the_others_do_not():
    net = model()
    before = {index: net.layers[index].bn.running_mean.clone() for index in (0, 1)}
    frozen = freeze(net, 1)
    for _ in range(2):  # also after an evaluation in between
        net.eval()
        set_train_mode(net, frozen)
        net(torch.rand(2, 3, 8, 8))
    assert net.training
    assert torch.equal(net.layers[0].bn.running_mean, before[0])
    assert not torch.equal(net.layers[1].bn.running_mean, before[1])


def test_a_step_moves_what_learns_and_nothing_else():
    net = model()
    frozen = freeze_all_but_heads(net)
    set_train_mode(net, frozen)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = build_optimizer(net, lr=0.1, weight_decay=0.1)
    sum(raw.square().sum() for raw in net(torch.rand(2, 3, 8, 8))).backward()
    optimizer.step()
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"layers.3.weight", "layers.3.bias"}
