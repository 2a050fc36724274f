"""The loop: one push on the gammas per step whatever makes a step, exact resumes, and batches that go wrong."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch

from tests.training.small_trainer import SmallBatches, gammas, small_trainer
from utils.errors import DataError
from utils.sparsity import SparsityOptions
from utils.training.events import BatchReport, EpochReport, Interrupted
from utils.training.precision import Precision
from utils.training.trainer import Diverged, StopEvaluation

CPU = torch.device("cpu")


def scaled(device: str = "cpu", dtype: torch.dtype | None = None) -> Precision:
    """fp16's scaling, with a scale that would drown s if it came in between."""
    return Precision("fp16", torch.device(device), dtype, torch.amp.GradScaler(device, init_scale=65536.0))


def run(trainer):
    """All events."""
    return list(trainer.run())


# -- sparsity ---------------------------------------------------------------------------------------------------------

STRENGTH = 0.02


def pressed(recipe: str, sparsity: SparsityOptions, *, accumulate: int = 1, precision=None, device="cpu", kind="sgd"):
    """Gammas after 6 steps, each on the same picture 8 times over, in one batch or several."""
    trainer = small_trainer(SmallBatches(3 * accumulate, 8 // accumulate, alike=True), recipe=recipe, accumulate=accumulate,
                            sparsity=sparsity, precision=precision, device=device, kind=kind)
    run(trainer)
    assert trainer.sparsity.steps == 6
    return gammas(trainer)


@pytest.mark.parametrize("recipe", ["ancestor", "darknet"])
@pytest.mark.parametrize("step", ["subgradient", "proximal"])
def test_a_large_loss_scale_and_accumulation_press_gammas_as_a_plain_run_does(recipe, step):
    """The ancestor's loss adds up over batches, Darknet's is a mean over images: in both 4 batches of 2 are one of 8."""
    options = SparsityOptions(s=STRENGTH, s_bias=0.01, step=step)
    plain = pressed(recipe, options)
    assert (plain - pressed(recipe, SparsityOptions(s=0.0))).abs().min() > 1e-4, "s has an effect on each gamma"
    for other in (pressed(recipe, options, precision=scaled()), pressed(recipe, options, accumulate=4),
                  pressed(recipe, options, accumulate=4, precision=scaled())):
        torch.testing.assert_close(other, plain, rtol=0, atol=2e-6)


def test_with_nothing_to_learn_gammas_fall_by_the_closed_formula():
    """Without a loss SGD with momentum m (Nesterov) moves a gamma by lr s (1 + m + ... ) per step: the sum is known."""
    none = {"giou": 0.0, "cls": 0.0, "obj": 0.0}
    momentum, lr, s, steps = 0.5, 0.1, 0.3, 4
    trainer = small_trainer(SmallBatches(2 * steps, 2), recipe="ancestor", accumulate=2, epochs=1, s=s, hyp=none, lr=lr,
                            momentum=momentum)
    before = gammas(trainer)
    run(trainer)
    velocity = [sum(momentum**k for k in range(t + 1)) for t in range(steps)]
    moved = lr * s * sum(1 + momentum * v for v in velocity)
    assert (before > moved).all(), "none passes 0 on the way"
    torch.testing.assert_close(gammas(trainer), before - moved, rtol=0, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", ["ancestor", "darknet"])
@pytest.mark.parametrize("dtype", [None, torch.float16], ids=["scaling alone", "fp16"])
def test_on_a_gpu_amp_and_accumulation_press_gammas_as_a_plain_run_does(recipe, dtype):
    """fp16 rounds the task's gradients; what s adds is exact, and 65536 times as much would be seen at any tolerance."""
    options = SparsityOptions(s=STRENGTH)
    plain = pressed(recipe, options, device="cuda")
    atol = 2e-5 if dtype is None else 2e-3
    for accumulate in (1, 4):
        other = pressed(recipe, options, accumulate=accumulate, precision=scaled("cuda", dtype), device="cuda")
        torch.testing.assert_close(other, plain, rtol=0, atol=atol)
    torch.testing.assert_close(plain, pressed(recipe, options), rtol=0, atol=2e-4)


# -- going on ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [
    {"kind": "sgd", "s": 0.01, "dropout": True, "accumulate": 3},
    {"kind": "adam", "ema": False, "precision": "scaled"},
    {"kind": "adamw", "recipe": "darknet", "accumulate": 2},
], ids=["sgd", "adam", "adamw"])
def test_a_run_that_is_stopped_after_any_step_goes_on_to_the_same_bits(options):
    options = dict(options)
    if options.pop("precision", None):
        options["precision"] = scaled()
    whole = small_trainer(SmallBatches(4, 2), **options)
    expected = [event for event in run(whole) if isinstance(event, EpochReport)]
    for stop_at in range(2 * 4):
        trainer, seen = small_trainer(SmallBatches(4, 2), **options), 0
        for event in trainer.run():
            if isinstance(event, BatchReport):
                seen += 1
                if seen == stop_at + 1:
                    trainer.stop()
        assert isinstance(event, Interrupted)
        assert (event.epoch, event.batch) == (trainer.progress.epoch, trainer.progress.batch)
        file = io.BytesIO()
        torch.save(trainer.state(), file)
        file.seek(0)
        again = small_trainer(SmallBatches(4, 2), **options)
        with torch.no_grad():
            for parameter in again.model.parameters():
                parameter.zero_()
        again.load_state(torch.load(file, weights_only=True))
        reports = [event for event in run(again) if isinstance(event, EpochReport)]
        for one, other in ((again.result, whole.result), (again.model, whole.model)):
            assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
        assert [(r.epoch, r.losses, r.lr) for r in reports] == [(r.epoch, r.losses, r.lr) for r in expected][-len(reports):]


def test_a_stop_waits_for_the_end_of_the_step():
    trainer = small_trainer(SmallBatches(5, 2), accumulate=3)
    events = []
    for event in trainer.run():
        events.append(event)
        trainer.stop()
    assert [type(event) for event in events] == [BatchReport] * 3 + [Interrupted]
    assert trainer.progress.step == 1


def test_a_last_step_of_fewer_batches_is_a_step_too():
    trainer = small_trainer(SmallBatches(5, 2), accumulate=3, epochs=3)
    events = run(trainer)
    assert trainer.progress.step == trainer.steps_per_epoch * 3 == 6
    assert [event.batch for event in events if isinstance(event, BatchReport)] == [0, 1, 2, 3, 4] * 3
    assert trainer.ema.updates == 6
    assert trainer.progress.images == 30


# -- batches that go wrong --------------------------------------------------------------------------------------------

def poison(trainer, *batches: int) -> None:
    """Let an Inf run through the network at these batches, counted over the run: as fp16 does where it overflows."""
    done = []

    def into(_, images):
        done.append(True)
        return (torch.full_like(images[0], math.inf),) if len(done) - 1 in batches else images

    trainer.model.layers[0].register_forward_pre_hook(into)


def test_a_batch_without_a_number_for_a_loss_leaves_no_trace():
    clean, hurt = small_trainer(SmallBatches(1, 2, alike=True), epochs=4), small_trainer(SmallBatches(1, 2, alike=True), epochs=5)
    poison(hurt, 2)
    run(clean)
    reports = [event for event in run(hurt) if isinstance(event, EpochReport)]
    assert [report.skipped_steps for report in reports] == [0, 0, 1, 0, 0]
    assert all(map(math.isnan, reports[2].losses.values()))
    assert all(math.isfinite(report.losses["total"]) for report in reports if report.epoch != 2)
    assert hurt.progress.bad_in_a_row == 0
    for one, other in zip(clean.result.state_dict().values(), hurt.result.state_dict().values(), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=0)  # the statistics of batch norms among them


def test_a_bad_batch_takes_its_window_with_it_and_no_other():
    trainer = small_trainer(SmallBatches(6, 2), accumulate=2, epochs=1)
    poison(trainer, 2)
    reports = run(trainer)
    assert reports[-1].skipped_steps == 1
    assert trainer.ema.updates == 2
    assert trainer.progress.step == 3, "the learning rate goes on"


def test_a_gradient_that_is_no_number_is_left_out_like_a_loss():
    trainer = small_trainer(SmallBatches(3, 2), epochs=1, s=0.01)
    before = {}
    backward = trainer.precision.backward

    def poisoned(loss):
        backward(loss)
        if trainer.progress.step == 1:
            trainer.model.layers[0].weight.grad[0, 0, 0, 0] = math.nan
            before.update({name: value.clone() for name, value in trainer.model.named_parameters()})

    trainer.precision.backward = poisoned
    for event in trainer.run():
        if isinstance(event, BatchReport) and event.batch == 1:
            assert all(torch.equal(before[name], value) for name, value in trainer.model.named_parameters())
    assert event.skipped_steps == 1
    assert trainer.sparsity.steps == 2


@pytest.mark.parametrize(("bad", "stops"), [((1, 2), False), ((1, 2, 3), True), ((0, 2, 3, 5), False)])
def test_so_many_bad_batches_in_a_row_end_the_training_and_fewer_do_not(bad, stops):
    trainer = small_trainer(SmallBatches(6, 2), epochs=1, patience=3)
    poison(trainer, *bad)
    if stops:
        with pytest.raises(Diverged, match=r"epoch 1: loss or gradient were no numbers in 3 steps in a row; lower --lr0"):
            run(trainer)
    else:
        assert run(trainer)[-1].skipped_steps == len(bad)
    assert all(torch.isfinite(value).all() for value in trainer.result.state_dict().values())


def test_an_epoch_without_a_single_good_batch_keeps_its_columns():
    trainer = small_trainer(SmallBatches(2, 2), epochs=1, patience=3)
    good = set(run(small_trainer(SmallBatches(2, 2), epochs=1))[-1].losses)
    poison(trainer, 0, 1)
    losses = run(trainer)[-1].losses
    assert set(losses) == good
    assert all(map(math.isnan, losses.values()))


def test_gradients_that_are_never_a_number_end_the_training_too():
    trainer = small_trainer(SmallBatches(6, 2), epochs=1, patience=3)
    backward = trainer.precision.backward

    def poisoned(loss):
        backward(loss)
        trainer.model.layers[0].weight.grad.fill_(math.nan)

    trainer.precision.backward = poisoned
    with pytest.raises(Diverged, match="in 3 steps in a row"):
        run(trainer)


def test_an_evaluation_that_meets_a_broken_image_costs_its_figures_and_not_the_epoch(caplog):
    def evaluate(model, stopping):
        raise DataError("a.jpg", "is cut off", "replace it")

    trainer = small_trainer(SmallBatches(2, 2), epochs=2, evaluate=evaluate)
    reports = [event for event in run(trainer) if isinstance(event, EpochReport)]
    assert [report.metrics for report in reports] == [None, None]
    assert "epoch 1 is not evaluated: a.jpg: is cut off" in caplog.text


def test_an_average_that_a_checkpoint_lacks_begins_with_the_network():
    without, with_average = small_trainer(SmallBatches(2, 2), ema=False), small_trainer(SmallBatches(2, 2))
    run(without)
    with_average.load_state(without.state())
    for one, other in zip(without.model.state_dict().values(), with_average.result.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


# -- what it tells ----------------------------------------------------------------------------------------------------

def scripted(values):
    """An evaluation that gives these mAPs, and keeps what it was asked."""
    asked = []

    def evaluate(model, stopping):
        asked.append(model)
        value = values[len(asked) - 1]
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0, "map50": value, "map": value / 2}

    return evaluate, asked


def test_the_best_epoch_is_the_first_with_the_highest_map():
    evaluate, asked = scripted([0.0, 0.3, 0.2, 0.3, 0.4])
    trainer = small_trainer(SmallBatches(1, 2), epochs=5, evaluate=evaluate)
    reports = [event for event in run(trainer) if isinstance(event, EpochReport)]
    assert [report.is_best for report in reports] == [True, True, False, False, True]
    assert all(model is trainer.ema.model for model in asked)
    assert trainer.progress.best == 0.4


@pytest.mark.parametrize(("every", "evaluated"), [(0, [4]), (1, [0, 1, 2, 3, 4]), (2, [1, 3, 4])])
def test_evaluations_come_as_often_as_asked_and_after_the_last_epoch(every, evaluated):
    evaluate, _ = scripted([0.1] * 5)
    trainer = small_trainer(SmallBatches(1, 2), epochs=5, evaluate=evaluate, evaluate_every=every)
    assert [event.epoch for event in run(trainer) if isinstance(event, EpochReport) and event.metrics] == evaluated


def test_an_evaluation_that_is_stopped_is_made_again():
    calls = []

    def evaluate(model, stopping):
        calls.append(True)
        if len(calls) == 1:
            raise StopEvaluation
        return {"map50": 0.5}

    trainer = small_trainer(SmallBatches(2, 2), epochs=1, evaluate=evaluate)
    assert run(trainer)[-1] == Interrupted(0, 2)
    again = small_trainer(SmallBatches(2, 2), epochs=1, evaluate=evaluate)
    again.load_state(trainer.state())
    reports = run(again)
    assert len(reports) == 1, "no batch is left to do"
    assert (reports[0].metrics, again.progress.epoch) == ({"map50": 0.5}, 1)


def test_batches_and_epochs_are_reported_with_their_means():
    trainer = small_trainer(SmallBatches(3, 2), epochs=1, ema=False, s=0.01, lr=0.02)
    totals, compute = [], trainer.objective.loss

    class Recorded:
        reduction, part_names = compute.reduction, compute.part_names

        def __call__(self, *arguments):
            parts = compute(*arguments)
            totals.append(float(parts.total.detach()))
            return parts

    trainer.objective.loss = Recorded()
    *batches, epoch = run(trainer)
    for number, report in enumerate(batches):
        assert (report.epoch, report.batch, report.batches, report.images, report.size) == (0, number, 3, 2, (32, 32))
        assert list(report.losses) == ["box", "obj", "cls", "total", "l1"]
        assert report.losses["total"] == pytest.approx(np.mean(totals[: number + 1]))
        assert report.losses["total"] == pytest.approx(sum(report.losses[name] for name in ("box", "obj", "cls")), rel=1e-5)
        assert report.lr == pytest.approx(0.02)
        assert report.memory_mb > 1
    assert epoch.losses == batches[-1].losses
    assert (epoch.epoch, epoch.epochs, epoch.s, epoch.metrics, epoch.skipped_steps) == (0, 1, 0.01, None, 0)
    assert epoch.sparsity["share_1e2"] == 0.0
    assert "gammas" in epoch.remarks[0]


def test_frozen_layers_keep_weights_and_statistics():
    trainer = small_trainer(SmallBatches(2, 2), epochs=1, frozen=(0,), ema=False)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    run(trainer)
    same = {name for name, value in trainer.model.state_dict().items() if torch.equal(value, before[name])}
    assert same == {name for name in before if name.startswith("layers.0.")}


def test_long_gradients_are_clipped():
    """The first step of plain SGD is as long as the learning rate times the limit."""
    trainer = small_trainer(SmallBatches(1, 2), epochs=1, clip=0.001, lr=0.5, ema=False, momentum=0.0)
    before = torch.cat([value.detach().flatten().clone() for value in trainer.model.parameters()])
    for group in trainer.optimizer.param_groups:
        group["weight_decay"] = 0.0
    run(trainer)
    after = torch.cat([value.detach().flatten() for value in trainer.model.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.5 * 0.001, rel=1e-3)
