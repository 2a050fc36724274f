"""Results that appear together or not at all."""

from __future__ import annotations

import pytest

from utils.cli.staging import staged_folder
from utils.errors import OutputError


def test_files_move_into_a_new_folder_when_all_are_done(tmp_path):
    target = tmp_path / "deep" / "output"
    with staged_folder(target) as stage:
        (stage / "a.txt").write_text("a")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_an_exception_leaves_no_trace(tmp_path):
    target = tmp_path / "output"
    with pytest.raises(KeyboardInterrupt), staged_folder(target) as stage:
        _write_and_interrupt(stage / "a.txt")
    assert list(tmp_path.iterdir()) == []


def _write_and_interrupt(path):
    path.write_text("a")
    raise KeyboardInterrupt


def test_an_existing_folder_keeps_its_other_files(tmp_path):
    (tmp_path / "old.txt").write_text("old")
    (tmp_path / "a.txt").write_text("old")
    with staged_folder(tmp_path) as stage:
        (stage / "a.txt").write_text("new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old.txt": "old", "a.txt": "new"}


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "output").write_text("x")
    with pytest.raises(OutputError, match="is a file, not a folder"), staged_folder(tmp_path / "output"):
        pass


def test_a_folder_in_the_place_of_a_result_is_an_error(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match="is a folder, not a file"), staged_folder(tmp_path) as stage:
        (stage / "a.txt").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
