"""Checks of a teacher: do its weights fit its cfg, and does what it says mean the same to the student."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from utils.cli.doctor.commands import Files, python
from utils.cli.doctor.finding import Finding, attempted, fine, one_line, wrong
from utils.cli.doctor.weights import read_pair
from utils.cli.training.teacher_arguments import same_file
from utils.darknet import Network, read_network
from utils.errors import CfgError
from utils.wording import counted

SUBJECT = "teacher"


def check_teacher(student: Network, files: Files, t_cfg: Path, t_weights: Path | None) -> Iterator[Finding]:
    """What a training with --t_cfg and --t_weights would stumble over; the student has the input size of the training."""
    found: list[Finding] = []
    teacher = attempted(SUBJECT, lambda: read_network(t_cfg), found)
    yield from found
    if teacher is None:
        return
    if t_weights is not None:
        yield from _check_files(teacher, files, t_weights)
    taught = python("train.py", *files.with_data, "--t_cfg", t_cfg, "--t_weights", t_weights or "TEACHER.weights")
    yield _check_heads(student, teacher, taught)


def _check_files(teacher: Network, files: Files, t_weights: Path) -> Iterator[Finding]:
    if files.weights is not None and same_file(files.weights, t_weights):
        yield wrong(SUBJECT, f"{t_weights} is the student's own file (or a copy): it could teach nothing. Take the network "
                    "before pruning")
        return
    _, found = read_pair(t_weights, replace(files, cfg=Path(teacher.path), weights=t_weights), teacher)
    for finding in found:
        yield replace(finding, subject=SUBJECT)


def _check_heads(student: Network, teacher: Network, taught: str) -> Finding:
    """Heads of the same strides, kinds, classes and anchors; where only what they mean differs maps can still teach."""
    from utils.distillation import check_same_heads, matched_heads

    shape = student.input_shape
    try:
        resized = teacher.resized(shape.height, shape.width)
        heads = matched_heads(student, resized)
    except CfgError as error:
        return wrong(SUBJECT, one_line(error))
    try:
        check_same_heads(student, resized, heads)
    except CfgError as error:
        return wrong(SUBJECT, f"{one_line(error)}; its maps can teach", f"{taught} --distill cwd")
    return fine(SUBJECT, f"{teacher.path}: {counted(len(heads), 'head')} with the classes, anchors and strides of the student's")
