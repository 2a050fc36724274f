"""A loop with a teacher: who learns, what is told, what is saved, and that it goes on as if nothing had happened."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from tests.training.small_trainer import SmallBatches, small_trainer
from utils.distillation import (
    METHODS,
    ChannelWise,
    Distillation,
    DistillationOptions,
    MaskedGeneration,
    Mimic,
    Student,
    Teacher,
    WeightSchedule,
)
from utils.training.events import EpochReport
from utils.training.precision import Precision
from utils.training.trainer import Trainer

HEAD, MAP = 3, 1  # of the small trainer's network


def with_teacher(weights: dict[str, float], *, batches: int = 3, epochs: int = 2, schedule: WeightSchedule | None = None,
                 precision: Precision | None = None, recipe: str = "ancestor", accumulate: int = 1) -> Trainer:
    """A small trainer whose teacher began somewhere else."""
    plain = small_trainer(SmallBatches(batches, 4), epochs=epochs, precision=precision, recipe=recipe, accumulate=accumulate)
    own = copy.deepcopy(plain.model).initialise(11)
    schedule = schedule or WeightSchedule()
    losses = {name: [make(5, 5)] for name, make in (("mimic", Mimic), ("mgd", MaskedGeneration), ("cwd", ChannelWise))
              if name in weights}
    maps = [MAP] if losses else []
    student = Student(plain.model, maps, [None] * len(maps), losses)
    student.initialise(0)
    teacher = Teacher(own, [HEAD] if any(METHODS[name] == "heads" for name in weights) else [], maps,
                      autocast=None if precision is None else precision.autocast)
    distillation = Distillation(student, teacher, DistillationOptions(weights, heads=schedule, maps=schedule), plain.objective.loss)
    if losses:
        plain.optimizer.add_param_group({"params": list(student.adaptors.parameters())})
    return Trainer(plain.model, plain.batches, plain.objective.loss, plain.options, optimizer=plain.optimizer,
                   learning_rate=plain.learning_rate, precision=plain.precision, processes=plain.processes, ema=plain.ema,
                   distillation=distillation)


def reports(trainer: Trainer) -> list[EpochReport]:
    return [event for event in trainer.run() if isinstance(event, EpochReport)]


@pytest.mark.parametrize("method", METHODS)
def test_student_and_adaptors_learn_and_the_teacher_stays_as_it_is(method):
    trainer = with_teacher({method: 1.0})
    student, adaptors = trainer.model, trainer.distillation.student.adaptors
    own = copy.deepcopy(trainer.distillation.teacher.model.state_dict())
    before = copy.deepcopy((student.state_dict(), adaptors.state_dict()))
    reports(trainer)
    assert all(not torch.equal(tensor, before[0][name]) for name, tensor in student.state_dict().items()
               if tensor.is_floating_point() and not name.endswith("anchors"))
    expected = {"mimic": 2, "mgd": 4, "cwd": 0}.get(method, 0)
    assert len(adaptors.state_dict()) == expected
    assert all(not torch.equal(tensor, before[1][name]) for name, tensor in adaptors.state_dict().items())
    after = trainer.distillation.teacher.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in own.items())


def test_a_teacher_of_weight_0_leaves_the_training_as_it_is():
    plain, taught = small_trainer(SmallBatches(3, 4)), with_teacher({"detection": 0.0, "l2": 0.0})
    list(plain.run())
    list(taught.run())
    for name, tensor in plain.model.state_dict().items():
        torch.testing.assert_close(tensor, taught.model.state_dict()[name])


def test_it_pulls_the_student_to_the_teacher():
    def distance(weight: float) -> float:
        trainer = with_teacher({"l2": weight}, epochs=4)
        return reports(trainer)[-1].losses["kd_l2_raw"]

    assert distance(30.0) < 0.7 * distance(0.0)


@pytest.mark.parametrize("recipe", ["ancestor", "darknet"])
def test_every_part_is_told_raw_weighted_and_over_the_detection_loss(recipe):
    weights = {"detection": 1.0, "l1": 0.5, "cwd": 10.0}
    trainer = with_teacher(weights, batches=1, epochs=1, recipe=recipe)
    losses = reports(trainer)[0].losses
    scale = 4 / 64 if recipe == "ancestor" else 1.0  # four images in the batch
    factors = {"classes": 1e-4, "boxes": 1e-3, "l1": 0.5, "cwd": 10.0}
    detection = losses["box"] + losses["obj"] + losses["cls"]
    for part, factor in factors.items():
        assert losses[f"kd_{part}"] == pytest.approx(losses[f"kd_{part}_raw"] * factor * scale, rel=1e-5)
        assert losses[f"kd_{part}_ratio"] == pytest.approx(losses[f"kd_{part}"] / detection, rel=1e-5)
    assert losses["soft"] == pytest.approx(sum(losses[f"kd_{part}"] for part in factors), rel=1e-5)
    assert losses["total"] == pytest.approx(detection + losses["soft"], rel=1e-5)
    assert 0 <= losses["rratio"] <= 1


def test_what_the_teacher_weighs_is_said_once():
    told = [report.remarks for report in reports(with_teacher({"l2": 1e-6}, epochs=3))]
    assert told[0][0].startswith("the teacher's part of the loss, over the detection loss: l2 ")
    assert "hardly counts" in told[0][1]
    assert told[1:] == [(), ()]


def test_a_schedule_says_when_it_counts():
    trainer = with_teacher({"l2": 1.0, "mgd": 1e-3}, epochs=5, schedule=WeightSchedule("linear", 0.5, 1, 4))
    told = reports(trainer)
    assert ["kd_l2" in report.losses for report in told] == [False, True, True, True, False]
    factors = [report.losses["kd_l2"] / report.losses["kd_l2_raw"] / (4 / 64) for report in told[1:4]]
    assert factors == pytest.approx([1, 0.75, 0.5], rel=1e-4)
    assert [bool(report.remarks) for report in told] == [False, True, False, False, False]


ALL = {"hinton": 1e-3, "detection": 1.0, "l1": 0.1, "l2": 0.1, "ast": 1.0, "mimic": 1.0, "mgd": 1e-4, "cwd": 1.0}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_goes_on_with_its_adaptors_as_if_nothing_had_happened(accumulate):
    whole = with_teacher(ALL, epochs=3, batches=4, accumulate=accumulate)
    reports(whole)
    cut = with_teacher(ALL, epochs=3, batches=4, accumulate=accumulate)
    list(itertools.islice(cut.run(), 4 + 1 + 2))  # an epoch, its end, and two batches of the next
    state = copy.deepcopy(cut.state())
    assert {name.split(".")[0] for name in state["distillation"]["adaptors"]} == {"mimic", "mgd"}
    rest = with_teacher(ALL, epochs=3, batches=4, accumulate=accumulate)
    rest.load_state(state)
    reports(rest)
    for one, other in ((whole.model, rest.model), (whole.distillation.student.adaptors, rest.distillation.student.adaptors)):
        assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_a_state_without_adaptors_is_a_start_for_a_training_with_a_teacher():
    plain = small_trainer(SmallBatches(3, 4), epochs=1)
    list(plain.run())
    taught = with_teacher({"cwd": 1.0, "mimic": 1.0}, epochs=2)
    state = {**plain.state(), "optimizer": taught.optimizer.state_dict(), "distillation": None}
    taught.load_state(state)
    assert len(reports(taught)) == 1


def test_in_bf16_all_parts_are_finite_float32_and_close_to_those_in_full_precision():
    half = reports(with_teacher(ALL, batches=1, epochs=1, precision=Precision.of("bf16", torch.device("cpu"))))[0].losses
    full = reports(with_teacher(ALL, batches=1, epochs=1))[0].losses
    for name, value in full.items():
        assert half[name] == pytest.approx(value, rel=0.15, abs=0.02), name


def test_a_column_for_the_teacher_is_there_in_every_epoch():
    told = reports(with_teacher({"l2": 1.0}, epochs=3, schedule=WeightSchedule("constant", 1.0, 1, 2)))
    assert ["soft" in report.losses for report in told] == [True] * 3
    assert [report.losses["soft"] > 0 for report in told] == [False, True, False]


def test_another_teacher_than_that_of_the_checkpoint_is_told(caplog):
    first, second = with_teacher({"l2": 1.0}), with_teacher({"l2": 1.0})
    first.distillation.teacher.name, second.distillation.teacher.name = "one", "other"
    second.load_state(first.state())
    assert "the teacher is not the one that this training began with" in caplog.text
    first.load_state(first.state())
    assert len(caplog.records) == 1


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_places_near_objects_are_found_with_anchors_of_the_images_size(size, monkeypatch):
    """Anchors are pixels: in a batch of another size they are another part of it."""
    trainer = with_teacher({"mimic": 1.0})
    trainer.distillation._near = [0]
    seen = []
    monkeypatch.setattr("utils.distillation.distillation.near_objects",
                        lambda targets, anchors, images, grid: seen.append(anchors) or torch.ones(images, *grid))
    images = torch.rand(2, 3, *size)
    raw, made = trainer.distillation.student(images)
    targets = torch.tensor([[0, 1, 0.5, 0.5, 0.3, 0.3]])
    parts = trainer.objective.loss(raw, targets, size)
    trainer.distillation.soft(raw, made, trainer.distillation.lesson(images), parts, targets, size, 0, 2)
    torch.testing.assert_close(seen[0], torch.tensor([[8.0, 8.0], [16.0, 16.0]]) / torch.tensor([size[1], size[0]]))
