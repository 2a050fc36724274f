"""Everything that a teacher adds to a training, in one place: what it answers, what is compared, and what it weighs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from utils.detection import DetectionLoss, HeadLossOptions, LossParts
from utils.detection.focal_loss import full_precision
from utils.distillation import align_soft_target, detection_specific
from utils.distillation.align_soft_target import align_soft_target_loss
from utils.distillation.detection_specific import detection_specific_loss
from utils.distillation.hinton import hinton_loss
from utils.distillation.logit_distance import logit_distance
from utils.distillation.methods import METHODS, Compared, MethodName
from utils.distillation.near_objects import near_objects
from utils.distillation.outputs import HeadOutputs, Term
from utils.distillation.student import Made, Student
from utils.distillation.teacher import Lesson, Teacher
from utils.distillation.weight import WeightSchedule

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DistillationOptions:
    """What is compared, and how.

    weights: by method name (`METHODS`), what it weighs. temperature: of "hinton" and "detection". margin: of the boxes of
    "detection". plain: "l1" and "l2" over all entries alike. heads, maps: how the weights of the two families go over time.
    """

    weights: Mapping[MethodName, float]
    temperature: float = 3.0
    margin: float = 0.0
    plain: bool = False
    heads: WeightSchedule = field(default_factory=WeightSchedule)
    maps: WeightSchedule = field(default_factory=WeightSchedule)

    def compares(self, what: Compared) -> bool:
        """Whether some method compares "heads" or "maps"."""
        return any(METHODS[name] == what for name in self.weights)


@dataclass(frozen=True)
class Soft:
    """What the teacher adds to the loss of a batch.

    total: on which to call backward. log: by name, numbers for reports: `soft`, the weighted sum; of each part its raw
    value `kd_X_raw`, the weighted `kd_X` and `kd_X_ratio`, the weighted over the detection loss; with "detection" also
    `rratio`, which share of the boxes is worse than the teacher's. Tensors without dimensions, and no gradients.
    """

    total: Tensor
    log: Mapping[str, Tensor]


class Distillation:
    """A teacher for one training.

        lesson = distillation.lesson(images, pictures)
        raw, made = student(images)                             # distillation.student, perhaps in several processes
        parts = loss(raw, targets, size)
        soft = distillation.soft(raw, made, lesson, parts, targets, size, epoch, epochs)
        (parts.total + soft.total).backward()

    Args:
        student: the network and its adaptors, on their device.
        teacher: answers for the same heads and maps.
        loss: the student's; says how heads are decoded, and how losses count in a batch.
        near: per map the student's head whose anchors say what is near an object, or None where all places count alike.
    """

    def __init__(self, student: Student, teacher: Teacher, options: DistillationOptions, loss: DetectionLoss,
                 near: Sequence[int] | None = None) -> None:
        self.student, self.teacher, self.options = student, teacher, options
        self._heads: tuple[HeadLossOptions, ...] = loss.heads
        self._reduction = loss.reduction
        self._near = near

    def factors(self, epoch: int, epochs: int) -> dict[Compared, float]:
        """The schedules' factors of "heads" and "maps" in an epoch, from 0; 0 where no method compares them."""
        schedules: Mapping[Compared, WeightSchedule] = {"heads": self.options.heads, "maps": self.options.maps}
        return {what: schedule.at(epoch, epochs) if self.options.compares(what) else 0.0
                for what, schedule in schedules.items()}

    def teaches(self, epoch: int, epochs: int) -> bool:
        """Whether the teacher counts at all in an epoch."""
        return any(self.factors(epoch, epochs).values())

    def lesson(self, images: Tensor, pictures: Tensor | None = None) -> Lesson:
        """See `Teacher`."""
        return self.teacher(images, pictures)

    def soft(self, raw: Sequence[Tensor], made: Made, lesson: Lesson, parts: LossParts, targets: Tensor,
             size: tuple[int, int], epoch: int, epochs: int) -> Soft:
        """Compare.

        Computed in float32. It counts in a batch as the detection loss does: the ancestor's means are multiplied by
        images / 64, to Darknet's sums per image it is added as it is.

        Args:
            raw, made: what the student gave. parts: its detection loss. targets, size: as in `DetectionLoss`.
        """
        factors = self.factors(epoch, epochs)
        images = raw[0].shape[0]
        scale = images / 64 if self._reduction == "mean" else 1.0
        outputs = [HeadOutputs(options, full_precision(ours), full_precision(theirs).detach(), places, size)
                   for options, ours, theirs, places in zip(self._heads, raw, lesson.heads, parts.positives, strict=True)] \
            if lesson.heads else []
        terms: list[tuple[Term, float]] = []
        log: dict[str, Tensor] = {}
        for name in self.options.weights:
            found = self._of_heads(name, outputs, log, images) if METHODS[name] == "heads" else \
                self._of_maps(name, made[name], lesson.maps, targets, images, size)
            terms += [(term, term.weight * factors[METHODS[name]] * scale) for term in found]
        total = torch.stack([term.raw * weight for term, weight in terms]).sum()
        detection = parts.total.detach().clamp(min=torch.finfo(total.dtype).tiny)
        log = {"soft": total.detach(), **log}
        for term, weight in terms:
            value = term.raw.detach()
            log |= {f"kd_{term.name}_raw": value, f"kd_{term.name}": value * weight,
                    f"kd_{term.name}_ratio": value * weight / detection}
        return Soft(total, log)

    def _of_heads(self, name: MethodName, outputs: Sequence[HeadOutputs], log: dict[str, Tensor],
                  images: int) -> list[Term]:
        weight = self.options.weights[name]
        match name:
            case "hinton":
                return [Term(name, hinton_loss(outputs, self.options.temperature), weight)]
            case "detection":
                found = detection_specific_loss(outputs, self.options.temperature, self.options.margin)
                log["rratio"] = found.classes.new_tensor(found.regression_ratio)
                per_image = 1 if self._reduction == "mean" else images  # the ancestor's sum grows with the batch
                return [Term("classes", found.classes, weight * detection_specific.CLASS_WEIGHT),
                        Term("boxes", found.boxes / per_image, weight * detection_specific.BOX_WEIGHT)]
            case "l1" | "l2":
                return [Term(name, logit_distance(outputs, 1 if name == "l1" else 2, plain=self.options.plain), weight)]
            case "ast":
                soft = align_soft_target_loss(outputs)
                return [Term("ast_classes", soft.classes, weight * align_soft_target.SCORE_WEIGHT),
                        Term("ast_objectness", soft.objectness, weight * align_soft_target.SCORE_WEIGHT),
                        Term("ast_boxes", soft.boxes, weight * align_soft_target.BOX_WEIGHT)]
        raise ValueError(f"there is no method {name!r}")

    def _of_maps(self, name: MethodName, made: Sequence[Tensor], maps: Sequence[Tensor], targets: Tensor,
                 images: int, size: tuple[int, int]) -> list[Term]:
        """One term: the sum over all pairs of layers."""
        near: Sequence[Tensor | None] = [None] * len(maps) if self._near is None or name != "mimic" else \
            [near_objects(targets, self._anchors(head, one, size), images, (one.shape[2], one.shape[3]))
             for head, one in zip(self._near, maps, strict=True)]
        losses = self.student.losses[name]
        values = [loss.loss(ours, theirs, places) for loss, ours, theirs, places in zip(losses, made, maps, near, strict=True)]
        return [Term(name, torch.stack(values).sum(), self.options.weights[name])]

    def _anchors(self, head: int, at: Tensor, size: tuple[int, int]) -> Tensor:
        """(A, 2) as parts of the images' size; `at` is the map that they belong to."""
        options = self._heads[head]
        height, width = at.shape[2:] if options.kind == "region" else size
        return at.new_tensor(options.anchors) / at.new_tensor((width, height))

    def state_dict(self) -> dict[str, Any]:
        """The adaptors, and who teaches: plain values and tensors."""
        adaptors = {name: tensor.detach().clone() for name, tensor in self.student.adaptors.state_dict().items()}
        return {"teacher": self.teacher.name, "adaptors": adaptors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what `state_dict` gave; another teacher than then is logged. RuntimeError where the adaptors are others."""
        if state["teacher"] != self.teacher.name:
            _logger.warning("the teacher is not the one that this training began with: its weights have changed since")
        self.student.adaptors.load_state_dict(dict(state["adaptors"]))
