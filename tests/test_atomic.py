"""Output files are whole or not there."""

from __future__ import annotations

import pytest

from utils.atomic import made_folder, staged_files, staged_folder, write_text
from utils.errors import OutputError


def test_a_file_appears_whole_and_with_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "ours", "line\r\n")
    assert (tmp_path / "ours").read_bytes() == b"line\r\n"
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_staged_files_appear_together(tmp_path):
    finals = (tmp_path / "a.cfg", tmp_path / "b.weights")
    with staged_files(*finals) as (a, b):
        a.write_text("1")
        b.write_text("2")
        assert a.name == "a.cfg"
        assert not any(final.exists() for final in finals)
    assert [final.read_text() for final in finals] == ["1", "2"]
    assert sorted(tmp_path.iterdir()) == sorted(finals)


def test_staged_files_leave_nothing_behind_an_exception(tmp_path):
    def interrupted() -> None:
        with staged_files(tmp_path / "a.cfg", tmp_path / "b.weights") as (a, _):
            a.write_text("new")
            raise KeyboardInterrupt

    (tmp_path / "a.cfg").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "a.cfg").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.cfg"]


def test_a_final_place_that_is_a_folder_or_lies_nowhere_is_refused(tmp_path):
    with pytest.raises(OutputError, match="is a folder, not a file"), staged_files(tmp_path):
        pass
    with pytest.raises(OutputError, match=r"cannot be written \(No such file"), staged_files(tmp_path / "no" / "a"):
        pass


def test_a_made_folder_goes_again_if_its_block_fails(tmp_path):
    def fails() -> None:
        with made_folder(tmp_path / "a" / "b"):
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert not list(tmp_path.iterdir())
    with made_folder(tmp_path / "a" / "b"):
        pass
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_under_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="cannot be made a folder"), made_folder(place):
            pass


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
