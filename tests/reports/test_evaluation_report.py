"""The tables of an evaluation name the definition of every figure."""

from __future__ import annotations

import numpy as np

from utils.detection import evaluate
from utils.reports import class_table, evaluation_table


def metrics():
    labels = [np.array([[0, 0.5, 0.5, 0.5, 0.5]]), np.array([[1, 0.25, 0.25, 0.5, 0.5]])]
    detections = [np.array([[25.0, 25, 75, 75, 0.9, 0]]), np.zeros((0, 6))]
    return evaluate(detections, labels, [(100, 100), (100, 100)], ["person", "car", "boat"]).to_dict()


def test_each_figure_stands_beside_its_definition():
    lines = {line.split("  ")[0]: line for line in evaluation_table(metrics(), width=120).splitlines()[2:]}
    assert list(lines) == ["P", "R", "F1", "mAP@0.5", "mAP@0.5:0.95", "mAP@0.75", "mAP@0.5 (Darknet)",
                           "mAP@0.5 (ancestor)"]
    assert "0.5000" in lines["mAP@0.5"]
    assert "COCO" in lines["mAP@0.5"]
    assert "0.3333" in lines["mAP@0.5 (Darknet)"]  # divides by all three classes, labelled or not


def test_no_definition_is_cut_off_in_a_terminal_of_80_columns():
    text = evaluation_table(metrics(), width=80)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_classes_without_labels_and_detections_have_no_row():
    text = class_table(metrics(), width=120)
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["person", "car"]
    assert text.splitlines()[2].split()[1:] == ["1", "1.0000", "1.0000", "1.0000", "1.0000", "1.0000"]


def test_figures_that_are_not_defined_are_dashes():
    nothing = evaluate([np.zeros((0, 6))], [np.zeros((0, 5))], [(10, 10)], ["person"]).to_dict()
    assert evaluation_table(nothing, width=120).splitlines()[2].split()[:2] == ["P", "-"]
