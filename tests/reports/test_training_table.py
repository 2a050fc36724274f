"""A line per epoch that fits, stands under its titles, and says what happened."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.training_reports import epoch_report
from utils.reports.training import epoch_header, epoch_line, final_table, row_of

ANY = st.floats(width=32)  # as torch computes them
RATE = st.floats(0, width=32)
SHARE = st.floats(0, 1) | st.just(float("nan"))


def cells(report):
    """The line by its titles."""
    return dict(zip(epoch_header(report).split(), epoch_line(report).replace("*", " ").split(), strict=False))


def test_every_figure_stands_under_its_title():
    assert cells(epoch_report(3)) == {
        "epoch": "4/10", "box": "0.3125", "obj": "0.6250", "cls": "0.1875", "total": "1.125", "lr": "0.0005", "s": "0.001",
        "<.01": "30.0", "<.001": "15.0", "cut": "27.0", "P": "0.500", "R": "0.600", "mAP50": "0.200", "mAP": "0.080",
        "img/s": "37.25"}


def test_titles_and_figures_end_in_the_same_columns():
    header, line = epoch_header(epoch_report(3)), epoch_line(epoch_report(3))
    ends = [i for i in range(len(header)) if header[i] != " " and header[i + 1 : i + 2] in ("", " ")]
    assert [line[i] != " " and line[i + 1 : i + 2] in ("", " ") for i in ends] == [True] * len(ends)


def test_a_training_without_sparsity_has_no_columns_for_it():
    assert list(cells(epoch_report(0, s=None, sparsity=None))) == [
        "epoch", "box", "obj", "cls", "total", "lr", "P", "R", "mAP50", "mAP", "img/s"]


def test_what_was_not_measured_is_a_dash():
    shown = cells(epoch_report(0, metrics=None, sparsity=None))
    assert [shown[title] for title in ("<.01", "cut", "P", "mAP50")] == ["-"] * 4


def test_the_best_epoch_and_skipped_steps_are_marked():
    assert epoch_line(epoch_report(0, is_best=True)).endswith(" *")
    assert epoch_line(epoch_report(0, skipped_steps=3)).endswith(" skipped 3")
    assert epoch_line(epoch_report(0)).endswith("37.25")


@given(losses=st.dictionaries(st.text("abcdefghijkl_", min_size=1, max_size=20), ANY, max_size=12), lr=RATE, s=st.none() | RATE,
       speed=RATE, score=SHARE, epochs=st.integers(1, 99999), skipped=st.integers(0, 999), data=st.data())
def test_no_line_is_wider_than_120_characters(losses, lr, s, speed, score, epochs, skipped, data):
    report = epoch_report(data.draw(st.integers(0, epochs - 1)), epochs=epochs, losses=losses, lr=lr, s=s, is_best=True,
                          metrics={"map50": score, "precision": score, "recall": score, "map": score},
                          sparsity={"share_1e2": score, "share_1e3": score, "largest_share_limit": score},
                          images_per_second=speed, skipped_steps=skipped)
    assert len(epoch_line(report)) <= 120
    assert len(epoch_header(report)) <= 120


def test_where_parts_of_the_loss_do_not_fit_the_total_stays():
    losses = {**{f"distillation_{i}": 1.0 for i in range(9)}, "total": 9.0}
    header = epoch_header(epoch_report(0, losses=losses)).split()
    assert header[1] == "distil…"
    assert "total" in header
    assert header.count("distil…") >= 2


def test_best_and_last_stand_side_by_side():
    reports = [epoch_report(epoch, metrics={"map50": score, "map": score / 2, "precision": 0.5, "recall": 0.5, "f1": 0.5})
               for epoch, score in enumerate((0.2, 0.7, 0.6))]
    lines = final_table(reports, width=100).splitlines()
    assert lines[0].split("  ")[-2:] == ["best (epoch 2)", "last (epoch 3)"]
    shown = {line.split("  ")[0]: line.split() for line in lines[2:]}
    assert shown["mAP@0.5"][1:] == ["0.7000", "0.6000"]
    assert shown["loss, total"][2:] == ["2.250", "1.500"]
    assert shown["|gamma| < 0.01"][-4:] == ["10.0", "%", "20.0", "%"]


def test_rows_of_results_csv_give_the_same_table():
    reports = [epoch_report(epoch) for epoch in range(3)]
    assert final_table([row_of(report) for report in reports], width=100) == final_table(reports, width=100)


@pytest.mark.parametrize("metrics", [None, {"map50": float("nan")}])
def test_a_training_that_was_never_evaluated_has_a_last_epoch_only(metrics):
    reports = [epoch_report(epoch, metrics=metrics) for epoch in range(2)]
    assert "best" not in final_table(reports, width=100)
    assert "last (epoch 2)" in final_table(reports, width=100)


def test_no_epochs_are_an_error():
    with pytest.raises(ValueError, match="no epochs"):
        final_table([])
