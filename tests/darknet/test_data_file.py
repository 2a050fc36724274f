"""`.data` and `.names` as Darknet reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from utils.darknet import read_data, read_names
from utils.errors import DataError


def test_a_data_file_names_lists_relative_to_the_working_directory_or_to_itself(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "valid.txt").write_text("")
    (tmp_path / "train.txt").write_text("")
    (folder / "my.data").write_bytes(b"# mine\r\nclasses = 3\r\ntrain=train.txt\r\nvalid = valid.txt\r\nnames=\r\nclasses=9\r\n")
    monkeypatch.chdir(tmp_path)
    data = read_data("set/my.data")
    assert data.classes == 3
    assert data.train == Path("train.txt")
    assert data.valid == Path("set/valid.txt")
    assert data.names is None
    assert data.options["valid"] == "valid.txt"


def test_a_comment_may_follow_the_number_of_classes_and_a_path_may_be_of_any_length(tmp_path):
    (tmp_path / "my.data").write_text(f"classes=3 # mine\nbackup={5000 * 'x'}\n")
    data = read_data(tmp_path / "my.data")
    assert data.classes == 3
    assert str(data.backup) == 5000 * "x"


def test_names_keep_their_place(tmp_path):
    (tmp_path / "my.names").write_bytes("\ufeffcat\r\n\r\nbig dog \r\n\r\n\r\n".encode())
    assert read_names(tmp_path / "my.names") == ("cat", "", "big dog")


@pytest.mark.parametrize(("text", "message"), [
    ("classes 3\n", "my.data:1: 'classes 3' has no '='"),
    ("# a\nclasses=many\n", "my.data:2: classes=many is no number of classes"),
    ("classes=2\ntrain=a\0b\n", "my.data:2: holds zero bytes"),
    ("classes=0\n", "my.data:1: classes=0 is no number of classes"),
    ("classes=\u00b2\n", "my.data:1: classes=\u00b2 is no number of classes"),
    ("classes=" + 5000 * "9", "my.data:1: classes=9999999999999999999999999999999999999999 is no number of classes"),
])
def test_a_bad_data_file_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "my.data").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_data(tmp_path / "my.data")


def test_missing_files_folders_and_empty_names_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_data(tmp_path / "none.data")
    with pytest.raises(DataError, match="is a folder"):
        read_names(tmp_path)
    (tmp_path / "my.names").write_text("\n\n")
    with pytest.raises(DataError, match="holds no class names"):
        read_names(tmp_path / "my.names")
