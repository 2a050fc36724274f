"""A few hundred cases of the fuzz run, and what it would call wrong."""

from __future__ import annotations

import warnings

import pytest

from tests.fuzz.__main__ import case_names, main
from tests.fuzz.guard import Limits, verdict
from tests.fuzz.kinds import KINDS
from utils.errors import DataError


def test_a_few_hundred_damaged_files_are_taken_well(capfd):
    cases = sum(kind.share for kind in KINDS.values())  # each kind at least once
    assert main(["--cases", str(cases), "--seed", "7"]) == 0, capfd.readouterr().err
    assert "all" in capfd.readouterr().out


def test_a_case_is_the_same_each_time(tmp_path, monkeypatch):
    seen = []
    for name in ("cfg/0/5", "cfg/0/5", "cfg/0/6"):
        monkeypatch.setattr("tests.fuzz.kinds.verdict", lambda attempt, folder, limits: seen.append((folder / "case.cfg").read_bytes()))
        (folder := tmp_path / str(len(seen))).mkdir()
        KINDS["cfg"].taken(name, folder)
    assert seen[0] == seen[1] != seen[2]


def test_every_kind_gets_its_share():
    kinds = [name.partition("/")[0] for name in case_names([*KINDS], 1000, 0)]
    assert set(kinds) == set(KINDS)


def crash(folder):
    raise KeyError("x")


def hang(folder):
    while True:
        pass


def hang_within_a_reader_that_takes_every_error_for_a_damaged_file(folder):
    while True:
        try:
            hang(folder)
        except Exception:
            raise DataError("x", "is damaged", "mend it") from None


def write(folder):
    (folder / "left").mkdir()
    raise DataError("x", "is damaged", "mend it")


def change(folder):
    (folder / "case").write_text("another")


def warn(folder):
    warnings.warn("look", RuntimeWarning, stacklevel=1)


def leave(folder):
    raise SystemExit(1)


def fill(folder):
    assert len(bytearray(2**33))


@pytest.mark.parametrize(("attempt", "word"), [
    (crash, "KeyError"), (hang, "takes longer"), (hang_within_a_reader_that_takes_every_error_for_a_damaged_file, "takes longer"),
    (write, "writes"), (change, "writes"), (warn, "RuntimeWarning"), (leave, "SystemExit"), (fill, "MemoryError")])
def test_what_counts_as_wrong(attempt, word, tmp_path):
    (tmp_path / "case").write_text("file")
    assert word in verdict(lambda: attempt(tmp_path), tmp_path, Limits(seconds=0.2))


def test_a_refusal_is_right(tmp_path):
    def refuse():
        raise DataError("x", "is damaged", "mend it")

    assert verdict(refuse, tmp_path, Limits()) is None
