"""Each loss on heads against plain loops, and what it is where student and teacher agree."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.detection.test_loss import GRIDS, SIZE, boxes, heads, outputs
from tests.distillation import slow_losses
from utils.detection import DetectionLoss
from utils.distillation import (
    HeadOutputs,
    align_soft_target_loss,
    detection_specific_loss,
    hinton_loss,
    logit_distance,
)

KINDS = ("classic", "new_coords", "region")


def compared(kind: str, *, images: int = 2, seed: int = 0, count: int = 6, dtype=torch.float64) -> list[HeadOutputs]:
    """Two networks' heads on the same random images."""
    options = heads(kind)
    student, teacher = (outputs(kind, images, seed + which, dtype) for which in (1, 2))
    student = [one.requires_grad_() for one in student]
    teacher = [one.requires_grad_() for one in teacher]
    parts = DetectionLoss(options)(student, boxes(images, seed, count), SIZE)
    return [HeadOutputs(*each, SIZE) for each in zip(options, student, teacher, parts.positives, strict=True)]


def agreeing(kind: str) -> list[HeadOutputs]:
    return [replace(head, teacher=head.student.detach().clone()) for head in compared(kind)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_hinton_is_the_divergence_of_whole_rows(kind, temperature):
    given = compared(kind)
    assert hinton_loss(given, temperature).item() == pytest.approx(slow_losses.hinton(given, temperature), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_detection_specific_softens_classes_and_pulls_boxes_that_are_worse_than_the_teachers(kind, margin):
    given = compared(kind, count=12)
    found = detection_specific_loss(given, 3.0, margin)
    classes, pulls, ratio = slow_losses.detection(given, 3.0, margin)
    assert found.classes.item() == pytest.approx(classes, rel=1e-9)
    assert found.boxes.item() == pytest.approx(pulls, rel=1e-9)
    assert found.regression_ratio == pytest.approx(ratio)
    assert 0 < ratio < 1, "some are better than the teacher's"


def test_the_box_term_pulls_to_the_truth_and_never_to_the_teacher():
    """Boxes that are better than the teacher's get no gradient; the others the gradient of their distance to the truth."""
    given = compared("classic", count=12)
    detection_specific_loss(given).boxes.backward()
    for head in given:
        places = zip(head.positives.image, head.positives.anchor, head.positives.row, head.positives.column, strict=True)
        for number, (b, a, y, x) in enumerate(places):
            d = [sum((p - q) ** 2 for p, q in zip(slow_losses.box(head, int(a), int(y), int(x), raw[b, a, y, x].tolist(),
                                                                   cells=True), head.positives.truth[number].tolist(), strict=True))
                 for raw in (head.student, head.teacher)]
            assert bool(head.student.grad[b, a, y, x, :4].any()) == (d[0] > d[1])
        assert head.teacher.grad is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("plain", [False, True])
def test_distances_weigh_boxes_and_classes_by_what_the_teacher_sees(kind, norm, plain):
    given = compared(kind)
    assert logit_distance(given, norm, plain=plain).item() == \
        pytest.approx(slow_losses.distance(given, norm, plain=plain), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_align_soft_target_compares_score_by_score(kind):
    given = compared(kind)
    found = align_soft_target_loss(given)
    expected = slow_losses.align_soft_target(given)
    assert [found.classes.item(), found.objectness.item(), found.boxes.item()] == pytest.approx(expected, rel=1e-9)
    assert min(expected) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_where_they_agree(kind):
    given = agreeing(kind)
    detection, soft = detection_specific_loss(given), align_soft_target_loss(given)
    zero = (hinton_loss(given), detection.classes, detection.boxes, logit_distance(given, 1), logit_distance(given, 2),
            soft.classes, soft.objectness, soft.boxes)
    assert [one.item() for one in zero] == pytest.approx([0] * len(zero), abs=1e-12)
    assert detection.regression_ratio == 0, "d_s > d_t is false"


@pytest.mark.parametrize("loss", [
    hinton_loss, lambda given: detection_specific_loss(given).classes, lambda given: logit_distance(given, 1),
    lambda given: logit_distance(given, 2), lambda given: align_soft_target_loss(given).classes,
    lambda given: align_soft_target_loss(given).objectness, lambda given: align_soft_target_loss(given).boxes])
@pytest.mark.parametrize("kind", KINDS)
def test_every_head_of_the_student_gets_a_finite_gradient_and_the_teacher_none(loss, kind):
    given = compared(kind)
    loss(given).backward()
    for head in given:
        assert head.teacher.grad is None
        assert head.student.grad.isfinite().all()
        assert head.student.grad.any()


@pytest.mark.parametrize("kind", KINDS)
def test_without_objects_only_places_are_compared(kind):
    given = compared(kind, count=0)
    found = detection_specific_loss(given)
    assert (found.boxes.item(), found.regression_ratio) == (0, 0)
    assert found.classes.item() > 0
    assert all(value.isfinite() for value in (found.boxes, align_soft_target_loss(given).classes, hinton_loss(given)))


@pytest.mark.parametrize("extreme", [60.0, -60.0])
def test_extreme_logits_stay_finite(extreme):
    given = compared("classic", dtype=torch.float32)
    for head in given:
        with torch.no_grad():
            head.student[..., 4:] = extreme
            head.teacher[..., 4:] = -extreme
    soft = align_soft_target_loss(given)
    total = (hinton_loss(given) + detection_specific_loss(given).classes + logit_distance(given, 2) + soft.classes
             + soft.objectness + soft.boxes)
    total.backward()
    assert total.isfinite()
    assert all(head.student.grad.isfinite().all() for head in given)


def test_grids_of_two_sizes_are_compared():
    assert [tuple(head.student.shape[2:4]) for head in compared("classic")] == GRIDS


@pytest.mark.parametrize("norm", [1, 2])
def test_a_teacher_that_sees_nothing_anywhere_leaves_objectness(norm):
    given = compared("classic", dtype=torch.float32)
    for head in given:
        with torch.no_grad():
            head.teacher[..., 4] = -200
    total = logit_distance(given, norm)
    total.backward()
    assert total.isfinite()
    assert all(head.student.grad.isfinite().all() for head in given)
