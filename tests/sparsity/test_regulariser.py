"""Pressing gammas: the gradient, the proximal step, mixed precision, accumulation, and going on after a break."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import Darknet
from tests.pruning.compared import small_network
from tests.pruning.test_groups import conv
from utils.errors import BonsaiError, PlanError, WeightsError
from utils.sparsity import SelfTuningStrength, Sparsity, SparsityOptions, pressed_channels

RESIDUAL = conv(4, 3) + conv(6) + conv(4) + "[shortcut]; from=-3; activation=linear\n" + conv(5)


def model_of(body: str = RESIDUAL, seed: int = 0) -> Darknet:
    """A small network whose gammas and betas have both signs and a few exact zeros."""
    model = Darknet(small_network(body)).train()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in model.layers:
            bn = getattr(layer, "bn", None)
            if bn is not None:
                bn.weight.copy_(torch.randn(bn.weight.shape, generator=generator))
                bn.bias.copy_(torch.randn(bn.bias.shape, generator=generator))
                bn.weight[0] = 0
    return model


def images(count: int = 8, seed: int = 1) -> Tensor:
    return torch.rand((count, 3, 10, 12), generator=torch.Generator().manual_seed(seed))


def task_loss(model: Darknet, x: Tensor) -> Tensor:
    return sum((head ** 2).mean() for head in model(x))


def gammas_of(model: Darknet) -> dict[int, Tensor]:
    return {i: layer.bn.weight.detach().clone() for i, layer in enumerate(model.layers)
            if getattr(layer, "bn", None) is not None}


def sgd(model: nn.Module, lr: float = 0.05, momentum: float = 0.9, **options: object) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, **options)


@pytest.mark.parametrize("kind", ["constant", "local-decay"])
def test_the_subgradient_is_autograds_gradient_of_an_explicit_l1_term(kind):
    model = model_of()
    sparsity = Sparsity(model, SparsityOptions(s=0.03, s_bias=0.2, kind=kind, keep_percent=0.5))
    sparsity.start_epoch(9, 10)
    loss = task_loss(model, images())
    loss.backward()
    explicit = copy.deepcopy(model)
    explicit.zero_grad()
    everything = torch.cat([model.layers[i].bn.weight.detach().abs() for i in sparsity.channels]).sort().values
    threshold = everything[int(len(everything) * 0.5)] if kind == "local-decay" else math.inf
    term = task_loss(explicit, images())
    own = 0.0
    for i in sparsity.channels:
        bn = explicit.layers[i].bn
        factor = torch.where(bn.weight.detach().abs() >= threshold, 0.01, 1.0)
        own = own + 0.03 * (factor * bn.weight.abs()).sum() + 0.2 * bn.bias.abs().sum()
    (term + own).backward()
    sparsity.before_step()
    for ours, theirs in zip(model.parameters(), explicit.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-7)
    assert sparsity.penalty() == pytest.approx(float(own.detach()), rel=1e-6)


def test_the_strength_follows_the_schedule():
    sparsity = Sparsity(model_of(), SparsityOptions(s=0.02, kind="linear"))
    assert sparsity.strength == 0.02
    sparsity.start_epoch(5, 10)
    assert sparsity.strength == pytest.approx(0.02 * 0.55)


@pytest.mark.parametrize("step", ["subgradient", "proximal"])
def test_what_is_not_selected_is_not_touched(step):
    """Against the same step without sparsity, bit for bit."""
    pressed, free = model_of(), model_of()
    sparsity = Sparsity(pressed, SparsityOptions(s=0.1, s_bias=0.1, prune=0, step=step))
    for model in (pressed, free):
        optimizer = sgd(model)
        task_loss(model, images()).backward()
        if model is pressed:
            sparsity.before_step()
        optimizer.step()
        if model is pressed:
            sparsity.after_step(optimizer)
    assert sorted(sparsity.channels) == [1, 4]
    for i, gamma in gammas_of(pressed).items():
        assert torch.equal(gamma, gammas_of(free)[i]) == (i in (0, 2)), i
        assert torch.equal(pressed.layers[i].bn.bias, free.layers[i].bn.bias) == (i in (0, 2)), i
        assert torch.equal(pressed.layers[i].weight, free.layers[i].weight), i


def test_single_channels_of_a_layer_may_be_left_out():
    model = model_of(conv(4) + conv(6) + "[shortcut]; from=-2; activation=linear\n" + conv(5))
    sparsity = Sparsity(model, SparsityOptions(s=0.1, prune=0, step="proximal"))
    before = gammas_of(model)[1]
    optimizer = sgd(model, lr=0.1, momentum=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    sparsity.after_step(optimizer)
    moved = before != gammas_of(model)[1]
    assert moved.tolist() == [False] * 4 + [True] * 2


@pytest.mark.parametrize(("momentum", "dampening"), [(0.0, 0.0), (0.9, 0.0), (0.9, 0.5)])
def test_the_proximal_step_is_soft_thresholding(momentum, dampening):
    model = model_of()
    optimizer = sgd(model, lr=0.05, momentum=momentum, dampening=dampening)
    sparsity = Sparsity(model, SparsityOptions(s=0.3, s_bias=0.1, step="proximal"))
    task_loss(model, images()).backward()
    sparsity.before_step()
    optimizer.step()
    before = {i: (g, model.layers[i].bn.bias.detach().clone()) for i, g in gammas_of(model).items()}
    sparsity.after_step(optimizer)
    t = 0.05 * 0.3 * (1 - dampening) / (1 - momentum)
    for i, (gamma, beta) in before.items():
        for value, new, by in ((gamma, model.layers[i].bn.weight, t), (beta, model.layers[i].bn.bias, t / 3)):
            expected = [math.copysign(max(abs(x) - by, 0), x) for x in value.tolist()]
            np.testing.assert_allclose(new.detach().numpy(), expected, atol=1e-6)
    assert any((model.layers[i].bn.weight == 0).any() for i in before)


def test_an_exact_zero_stays_unless_the_optimiser_moves_it_further():
    model = model_of()
    sparsity = Sparsity(model, SparsityOptions(s=0.1, step="proximal"))
    optimizer = sgd(model, lr=1.0, momentum=0.0)
    gamma = model.layers[1].bn.weight
    with torch.no_grad():
        gamma.zero_()
    gamma.grad = torch.tensor([0.09, -0.09, 0.5, -0.5, 0.0, 0.1])
    optimizer.step()
    sparsity.after_step(optimizer)
    np.testing.assert_allclose(gamma.detach().numpy(), [0, 0, -0.4, 0.4, 0, 0], atol=1e-7)
    assert (gamma.detach()[[0, 1, 4]] == 0).all()


def freely_pressed(step: str, optimizer_of, steps: int, s: float, noise: float = 0.0) -> np.ndarray:
    """Mean |gamma| after each step, of gammas that start at 1 and that only noise and s move."""
    model = model_of(conv(24))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for i in gammas_of(model):
            model.layers[i].bn.weight.fill_(1.0)
    sparsity = Sparsity(model, SparsityOptions(s=s, step=step))
    optimizer = optimizer_of([model.layers[i].bn.weight for i in sparsity.channels])
    means = []
    for _ in range(steps):
        for i in sparsity.channels:
            gamma = model.layers[i].bn.weight
            gamma.grad = noise * torch.randn(gamma.shape, generator=generator)
        sparsity.before_step()
        optimizer.step()
        sparsity.after_step(optimizer)
        means.append(float(model.layers[0].bn.weight.detach().abs().mean()))
    return np.array(means)


@pytest.mark.parametrize(("lr", "momentum", "nesterov"), [(0.002324, 0.97, True), (0.01, 0.9, False), (0.05, 0.0, False)])
def test_both_steps_drift_alike_under_sgd(lr, momentum, nesterov):
    def optimizer(p):
        return torch.optim.SGD(p, lr=lr, momentum=momentum, nesterov=nesterov)

    s = 0.5 * (1 - momentum) / (lr * 700)
    sub = freely_pressed("subgradient", optimizer, 700, s)
    proximal = freely_pressed("proximal", optimizer, 700, s)
    assert 1 - proximal[-1] == pytest.approx(0.5, rel=1e-3)
    assert 1 - sub[-1] == pytest.approx(1 - proximal[-1], rel=0.05)


@pytest.mark.parametrize(("s", "noise", "tolerance"), [(1e-3, 0.0, 0.05), (1e-3, 1e-2, 0.15), (1e-2, 1e-2, 0.15)])
def test_both_steps_drift_alike_under_adam(s, noise, tolerance):
    def optimizer(p):
        return torch.optim.AdamW(p, lr=1e-3, weight_decay=0)

    sub = freely_pressed("subgradient", optimizer, 250, s, noise)
    proximal = freely_pressed("proximal", optimizer, 250, s, noise)
    drift = 1e-3 * s / math.hypot(s, noise)
    assert 1 - proximal[-1] == pytest.approx(250 * drift, rel=0.1)
    assert 1 - sub[-1] == pytest.approx(1 - proximal[-1], rel=tolerance)


def test_the_rule_of_thumb_for_the_ancestors_recipe():
    """methods: lr 0.002324, momentum 0.97, s 0.001, added twice per step: about 6450 steps from 1 to 0."""
    def optimizer(p):
        return torch.optim.SGD(p, lr=0.002324, momentum=0.97, nesterov=True)

    gammas = freely_pressed("subgradient", optimizer, 700, 0.02)  # ten times as strong, a tenth of the steps
    assert np.argmax(gammas < 0.01) == pytest.approx(645, rel=0.07)


@pytest.mark.parametrize("step", ["subgradient", "proximal"])
def test_frozen_gammas_are_left_alone(step):
    model = model_of()
    model.layers[1].bn.requires_grad_(False)
    before = gammas_of(model)
    sparsity = Sparsity(model, SparsityOptions(s=0.1, s_bias=0.1, step=step))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    task_loss(model, images()).backward()
    sparsity.before_step()
    optimizer.step()
    sparsity.after_step(optimizer)
    assert torch.equal(before[1], model.layers[1].bn.weight)
    assert not torch.equal(before[2], model.layers[2].bn.weight)


def trained(step: str, *, micro_batches: int, scale: float | None, steps: int = 6, optimizer_of=sgd) -> Darknet:
    """Some steps with fixed statistics, so that it does not matter how a batch is split."""
    model = model_of()
    for i in gammas_of(model):
        model.layers[i].bn.eval()
    sparsity = Sparsity(model, SparsityOptions(s=0.02, step=step))
    optimizer = optimizer_of(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale or 1.0, enabled=scale is not None)
    for number in range(steps):
        optimizer.zero_grad()
        for part in images(seed=number).chunk(micro_batches):
            scaler.scale(task_loss(model, part) / micro_batches).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        sparsity.before_step()
        scaler.step(optimizer)
        scaler.update()
        sparsity.after_step(optimizer)
    return model


@pytest.mark.parametrize("step", ["subgradient", "proximal"])
@pytest.mark.parametrize("optimizer_of", [sgd, lambda model: torch.optim.Adam(model.parameters(), lr=0.01)],
                         ids=["sgd", "adam"])
def test_a_large_loss_scale_and_accumulation_give_the_gammas_of_the_plain_run(step, optimizer_of):
    plain = gammas_of(trained(step, micro_batches=1, scale=None, optimizer_of=optimizer_of))
    accumulated = gammas_of(trained(step, micro_batches=4, scale=None, optimizer_of=optimizer_of))
    scaled = gammas_of(trained(step, micro_batches=4, scale=65536.0, optimizer_of=optimizer_of))
    moved = 0.0
    for i, gamma in gammas_of(model_of()).items():
        assert torch.equal(scaled[i], accumulated[i]), i
        torch.testing.assert_close(accumulated[i], plain[i], rtol=1e-4, atol=2e-5)
        moved = max(moved, float((plain[i] - gamma).abs().max()))
    assert moved > 0.01


def test_the_test_of_the_loss_scale_would_see_the_usual_mistake():
    """Adding to scaled gradients divides s by the scale: then nothing is pressed."""
    model = model_of()
    optimizer = sgd(model)
    sparsity = Sparsity(model, SparsityOptions(s=0.02))
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
    scaler.scale(task_loss(model, images())).backward()
    task = model.layers[1].bn.weight.grad / 65536
    sparsity.before_step()
    scaler.unscale_(optimizer)
    torch.testing.assert_close(model.layers[1].bn.weight.grad, task, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("step", ["subgradient", "proximal"])
@pytest.mark.parametrize("kind", ["local-decay", "auto"])
def test_a_resumed_run_ends_with_the_same_gammas_bit_for_bit(step, kind, tmp_path):
    def new(model: Darknet) -> Sparsity:
        tuner = SelfTuningStrength(0.5, 6, 4, learning_rate=lambda _: 0.05, momentum=0.9) if kind == "auto" else None
        return Sparsity(model, SparsityOptions(s=0.02, kind="constant" if tuner else kind, keep_percent=0.4, step=step),
                        tuner)

    def run(stop_at: int | None) -> Darknet:
        model = model_of()
        optimizer, sparsity = sgd(model), new(model)
        number = 0
        for epoch in range(6):
            sparsity.start_epoch(epoch, 6)
            losses = []
            for _ in range(4):
                if number == stop_at:
                    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                                "sparsity": sparsity.state_dict()}, tmp_path / "last.pt")
                    saved = torch.load(tmp_path / "last.pt", weights_only=True)
                    model = model_of(seed=99)
                    optimizer, sparsity = sgd(model), new(model)
                    model.load_state_dict(saved["model"])
                    optimizer.load_state_dict(saved["optimizer"])
                    sparsity.load_state_dict(saved["sparsity"])
                    sparsity.start_epoch(epoch, 6)  # begun before the break: does not draw its channels anew
                optimizer.zero_grad()
                loss = task_loss(model, images(seed=number))
                loss.backward()
                sparsity.before_step()
                optimizer.step()
                sparsity.after_step(optimizer)
                losses.append(float(loss.detach()))
                number += 1
            sparsity.end_epoch(epoch, float(np.mean(losses)), lr=0.05, momentum=0.9)
        assert sparsity.steps == 24
        return model

    whole = gammas_of(run(None))
    for stop_at in (6, 18):
        for i, gamma in gammas_of(run(stop_at)).items():
            assert torch.equal(gamma, whole[i]), (stop_at, i)


def test_a_state_of_other_layers_is_refused():
    state = Sparsity(model_of(), SparsityOptions(prune=0)).state_dict()
    with pytest.raises(WeightsError, match="other layers; resume with the same cfg and the same --prune"):
        Sparsity(model_of(), SparsityOptions(prune=1)).load_state_dict(state)


def test_the_tuners_strength_is_applied_and_the_schedule_is_not():
    model = model_of()
    tuner = SelfTuningStrength(0.5, 10, 7, learning_rate=lambda _: 0.01, momentum=0.9)
    sparsity = Sparsity(model, SparsityOptions(s=5.0, kind="linear"), tuner)
    assert sparsity.strength == 0
    sparsity.start_epoch(0, 10)
    values = np.sort(sparsity.gammas().values)
    watched = values[math.ceil(0.5 * len(values)) - 1]
    assert sparsity.strength == pytest.approx(watched * 0.1 / (0.01 * 42))
    first = sparsity.strength
    assert sparsity.end_epoch(0, 1.0, lr=0.01, momentum=0.9) == sparsity.strength != first
    sparsity.start_epoch(1, 10)
    assert sparsity.strength == tuner.s


def test_gammas_are_those_of_the_pressed_channels():
    model = model_of()
    sparsity = Sparsity(model, SparsityOptions(prune=0))
    gammas = sparsity.gammas()
    assert sorted(gammas.layers) == sorted(pressed_channels(model.network, 0)) == [1, 4]
    np.testing.assert_array_equal(gammas.values, np.concatenate([gammas.layers[1], gammas.layers[4]]))
    np.testing.assert_array_equal(gammas.layers[1], model.layers[1].bn.weight.detach().abs().numpy())
    other = model_of(seed=5)
    np.testing.assert_array_equal(sparsity.gammas(other).layers[4], other.layers[4].bn.weight.detach().abs().numpy())


def test_synchronised_batch_norm_is_pressed_too():
    model = model_of()
    sparsity = Sparsity(model, SparsityOptions(s=0.1))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert converted is model
    bn = model.layers[1].bn
    assert isinstance(bn, nn.SyncBatchNorm)
    bn.weight.grad = torch.zeros_like(bn.weight)
    sparsity.before_step()
    torch.testing.assert_close(bn.weight.grad, 0.1 * bn.weight.detach().sign())


def test_the_gauge_knows_how_fast_the_median_fell():
    model = model_of()
    sparsity = Sparsity(model, SparsityOptions(s=0.1, step="proximal"))
    sparsity.start_epoch(0, 4)
    optimizer = sgd([*model.layers][1].bn, lr=0.01, momentum=0.0)
    before = float(np.median(sparsity.gammas().values))
    with torch.no_grad():
        for i in sparsity.channels:
            model.layers[i].bn.weight.mul_(0.5)
    for _ in range(10):
        sparsity.after_step(optimizer)
    judged = sparsity.gauge(lr=0.01, remaining_steps=30)
    now = float(np.median(sparsity.gammas().values))
    assert judged.steps_left == pytest.approx(now / ((before - now) / 10))


def test_what_cannot_be_pressed_is_refused():
    plain = conv(4).replace("batch_normalize=1", "batch_normalize=0")
    with pytest.raises(PlanError, match="no batch-norm scale"):
        Sparsity(Darknet(small_network(plain)), SparsityOptions())
    with pytest.raises(BonsaiError, match="fused"):
        Sparsity(model_of().fuse(), SparsityOptions())
