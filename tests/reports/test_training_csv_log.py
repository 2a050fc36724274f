"""results.csv is whole after every epoch, and an interruption leaves no trace in it."""

from __future__ import annotations

import csv
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reports.training_reports import epoch_report
from utils.errors import DataError, OutputError
from utils.reports.training import ResultsCsv, read_results, row_of


def test_the_columns_stand_in_their_order_and_the_standard_library_reads_them(tmp_path):
    with ResultsCsv(tmp_path / "results.csv") as log:
        log.add(epoch_report(0))
        log.add(epoch_report(1, metrics=None, sparsity=None, s=None))
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "epoch", "lr", "s", "train/box", "train/obj", "train/cls", "train/total", "precision", "recall", "f1", "map50",
        "map", "share_1e2", "share_1e3", "prunable_share", "largest_share_limit", "images_per_second", "memory_mb",
        "seconds"]
    assert (rows[0]["epoch"], rows[0]["train/box"], rows[0]["map50"], rows[0]["s"]) == ("0", "1.25", "0.05", "0.001")
    assert (rows[1]["epoch"], rows[1]["train/box"], rows[1]["map50"], rows[1]["s"]) == ("1", "0.625", "", "")


def test_what_was_written_is_read_again():
    row = row_of(epoch_report(3))
    assert row["epoch"] == 3
    assert row["train/obj"] == 0.625
    assert row["share_1e2"] == pytest.approx(0.3)
    assert "mean_gamma" not in row


def test_a_row_is_in_the_file_before_the_log_is_closed(tmp_path):
    log = ResultsCsv(tmp_path / "results.csv")
    assert read_results(tmp_path / "results.csv") == []
    for epoch in range(3):
        log.add(epoch_report(epoch))
        assert [row["epoch"] for row in read_results(tmp_path / "results.csv")] == list(range(epoch + 1))
    log.close()


@pytest.mark.parametrize("killed_after", [1, 2, 4])
@pytest.mark.parametrize("first_epoch", [0, 1, 2, 3])
def test_killed_and_resumed_gives_the_same_bytes_as_uninterrupted(tmp_path, killed_after, first_epoch):
    def report(epoch):  # from epoch 3 on the loss has one more part
        one = epoch_report(epoch)
        return epoch_report(epoch, losses={"l1": 0.5, **one.losses}) if epoch >= 3 else one

    with ResultsCsv(tmp_path / "whole.csv") as log:
        for epoch in range(6):
            log.add(report(epoch))
    killed = ResultsCsv(tmp_path / "killed.csv")
    for epoch in range(killed_after):
        killed.add(report(epoch))
    killed.close()
    with (tmp_path / "killed.csv").open("a") as file:
        file.write("17,0.00")  # the process died in the middle of a row
    first = min(first_epoch, killed_after)
    with ResultsCsv(tmp_path / "killed.csv", first_epoch=first) as log:
        assert [row["epoch"] for row in read_results(tmp_path / "killed.csv")] == list(range(first))
        for epoch in range(first, 6):
            log.add(report(epoch))
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_part_of_the_loss_that_appears_later_is_empty_in_earlier_rows(tmp_path):
    with ResultsCsv(tmp_path / "results.csv") as log:
        log.add(epoch_report(0, losses={"box": 1.0}))
        log.add(epoch_report(1, losses={"box": 0.5, "distill": 2.0}))
        log.add(epoch_report(2, losses={"box": 0.25, "distill": 1.0}))
    rows = read_results(tmp_path / "results.csv")
    assert [row["train/distill"] for row in rows] == [None, 2.0, 1.0]
    assert [row["train/box"] for row in rows] == [1.0, 0.5, 0.25]


def test_an_epoch_that_is_made_again_replaces_its_row_and_those_after_it(tmp_path):
    with ResultsCsv(tmp_path / "results.csv") as log:
        for epoch in (0, 1, 2, 1):
            log.add(epoch_report(epoch, lr=0.1 * (epoch + 1)))
    assert [row["epoch"] for row in read_results(tmp_path / "results.csv")] == [0, 1]


def test_a_new_training_begins_a_new_file(tmp_path):
    (tmp_path / "results.csv").write_text("anything")
    ResultsCsv(tmp_path / "results.csv").close()
    assert read_results(tmp_path / "results.csv") == []


@settings(max_examples=25)
@given(value=st.floats(allow_nan=False, width=32), part=st.text(st.characters(codec="ascii", categories=("L", "P")), min_size=1))
def test_numbers_and_names_of_losses_come_back_to_six_digits(tmp_path_factory, value, part):
    path = tmp_path_factory.mktemp("csv") / "results.csv"
    with ResultsCsv(path) as log:
        log.add(epoch_report(0, losses={part: value}))
    (row,) = read_results(path)
    assert row[f"train/{part}"] == pytest.approx(value, rel=1e-5)


def test_a_loss_that_is_no_number_is_kept_as_such(tmp_path):
    with ResultsCsv(tmp_path / "results.csv") as log:
        log.add(epoch_report(0, losses={"total": float("nan"), "box": float("inf")}))
    (row,) = read_results(tmp_path / "results.csv")
    assert row["train/total"] != row["train/total"]
    assert row["train/box"] == float("inf")


@pytest.mark.parametrize(("text", "message"), [
    ("a,b\n1,2\n", r"results\.csv:1: has no column epoch"),
    ("epoch,lr\n0,0.1\n1\n2,0.1\n", r"results\.csv:3: is not a row of 2 numbers"),
    ("epoch,lr\n0,high\n", r"results\.csv:2: is not a row of 2 numbers"),
    ("epoch,lr\n,0.1\n", r"results\.csv:2: is not a row of 2 numbers"),
    (b"\xff\xfe\n", "is not text"),
])
def test_a_file_that_is_not_ours_is_an_error_with_its_line(tmp_path, text, message):
    path = tmp_path / "results.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        read_results(path)
    with pytest.raises(DataError, match=message):
        ResultsCsv(path, first_epoch=1)


def test_no_file_is_an_error_when_read_and_none_when_resumed(tmp_path):
    with pytest.raises(DataError, match=r"no\.csv: cannot be read"):
        read_results(tmp_path / "no.csv")
    with ResultsCsv(tmp_path / "no.csv", first_epoch=3) as log:
        log.add(epoch_report(3))
    assert [row["epoch"] for row in read_results(tmp_path / "no.csv")] == [3]


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        ResultsCsv(tmp_path / "missing" / "results.csv")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_output_error(tmp_path):
    log = ResultsCsv(tmp_path / "results.csv")
    log.add(epoch_report(0))
    log.close()
    (tmp_path / "results.csv").unlink()
    (tmp_path / "results.csv").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        log.add(epoch_report(1))
