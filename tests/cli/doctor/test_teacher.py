"""A teacher is looked at before it teaches: its file, and whether its heads mean what the student's mean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.doctor.conftest import CFG, Patient, check_command
from utils.cli.doctor import Finding
from utils.darknet import initial_weights, parse_network, write_weights


def said(patient: Patient, text: str = CFG.replace("filters=16", "filters=32"), t_weights: str | None = None) -> list[Finding]:
    """Of a teacher with this cfg, and initial weights where no others are named."""
    Path("big.cfg").write_text(text)
    if t_weights is None:
        network = parse_network(text)
        write_weights("big.weights", network, initial_weights(network, 2))
    return patient.said("teacher", t_cfg=Path("big.cfg"), t_weights=Path(t_weights or "big.weights"))


def test_a_wider_network_can_teach(healthy):
    assert [finding.mark for finding in said(healthy)] == ["fine", "fine"]


def test_without_a_teacher_nothing_is_said(healthy):
    assert healthy.said("teacher") == []


@pytest.mark.parametrize(("old", "new", "words"), [
    ("classes=2", "classes=4", "classes=4"), ("5,5, 8,8", "6,6, 8,8", "anchors"), ("num=3", "num=3\nscale_x_y=1.1", "scale_x_y=1.1")])
def test_heads_that_mean_something_else_are_told_and_maps_can_teach(healthy, old, new, words):
    text = CFG.replace(old, new).replace("filters=21", "filters=27" if "classes=4" in new else "filters=21")
    finding = said(healthy, text)[-1]
    assert finding.mark == "wrong"
    assert words in finding.text
    assert "--distill cwd" in finding.commands[0]
    check_command(finding.commands[0])


def test_heads_of_another_stride_are_told(healthy):
    finding = said(healthy, CFG.replace("stride=4", "stride=2"))[-1]
    assert finding.mark == "wrong"
    assert "a cell per 4" in finding.text


def test_the_students_own_file_or_a_copy_teaches_nothing(healthy):
    shutil.copy("my.weights", "copy.weights")
    finding = said(healthy, CFG, "copy.weights")[0]
    assert finding.mark == "wrong"
    assert "the student's own file" in finding.text


def test_a_file_of_another_network_and_a_missing_cfg_are_told(healthy):
    finding = said(healthy, CFG.replace("filters=16", "filters=32"), "my.weights")[0]
    assert finding.mark == "wrong"
    Path("big.cfg").unlink()
    (finding,) = healthy.said("teacher", t_cfg=Path("big.cfg"), t_weights=Path("my.weights"))
    assert (finding.mark, "does not exist" in finding.text) == ("wrong", True)
