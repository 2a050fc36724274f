"""Lists of images in all their spellings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.shared import SHARED, needs_shared
from utils.datasets import read_image_list
from utils.errors import DataError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """tmp/set with images/a.jpg, images/b c.png and sub/d.JPG; the working directory is tmp/elsewhere."""
    folder = tmp_path / "set"
    for name in ("images/a.jpg", "images/b c.png", "images/sub/d.JPG", "images/.hidden.jpg", "images/note.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def names(paths):
    return [path.name for path in paths]


@pytest.mark.parametrize("data", [
    b"images/a.jpg\nimages/b c.png\n",
    b"images/a.jpg\nimages/b c.png",
    b"\xef\xbb\xbfimages/a.jpg\r\nimages/b c.png\r\n",
    b"\n\n  images/a.jpg  \n\t\nimages/b c.png \t\n\n",
    "images/a.jpg\r\nimages/b c.png\r\n".encode("utf-16"),
    b"images/a.jpg\rimages/b c.png\r",
], ids=["plain", "no end", "bom+crlf", "blanks", "utf-16", "cr"])
def test_a_list_may_be_written_in_many_ways(place, data):
    (place / "train.txt").write_bytes(data)
    assert names(read_image_list(place / "train.txt")) == ["a.jpg", "b c.png"]


def test_a_repeated_image_is_used_repeatedly_and_the_order_stays(place):
    (place / "l.txt").write_text("images/b c.png\nimages/a.jpg\nimages/b c.png\n")
    assert names(read_image_list(place / "l.txt")) == ["b c.png", "a.jpg", "b c.png"]


def test_a_relative_path_starts_at_the_working_directory_first(place):
    (Path.cwd() / "images").mkdir()
    (Path.cwd() / "images" / "a.jpg").touch()
    (place / "l.txt").write_text("images/a.jpg\nimages/b c.png\n")
    assert read_image_list(place / "l.txt") == [Path("images/a.jpg"), place / "images" / "b c.png"]


def test_an_absolute_path_is_taken_as_it_is(place):
    (place / "l.txt").write_text(f"{place}/images/a.jpg\n")
    assert read_image_list(place / "l.txt") == [place / "images" / "a.jpg"]


@pytest.mark.skipif(os.sep != "/", reason="about lists from Windows, read elsewhere")
def test_a_list_from_windows_is_understood(place):
    (place / "l.txt").write_text("images\\a.jpg\r\n")
    assert read_image_list(place / "l.txt") == [place / "images" / "a.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
def test_a_name_that_is_no_utf8_still_finds_its_file(place):
    name = os.fsdecode(b"images/\xe4.jpg")
    try:
        (place / name).touch()
    except OSError:
        pytest.skip("this file system wants UTF-8")
    (place / "l.txt").write_bytes(b"images/\xe4.jpg\n")
    assert read_image_list(place / "l.txt") == [place / name]


def test_a_folder_gives_its_images_sorted_with_sub_folders_without_hidden_ones(place):
    assert names(read_image_list(place)) == ["a.jpg", "b c.png", "d.JPG"]
    assert names(read_image_list(str(place / "images"))) == ["a.jpg", "b c.png", "d.JPG"]


def test_a_pattern_gives_the_images_that_match(place):
    assert names(read_image_list(f"{place}/images/*")) == ["a.jpg", "b c.png"]
    assert names(read_image_list(f"{place}/**/*.JPG")) == ["d.JPG"]


def test_an_image_is_a_list_of_one(place):
    assert read_image_list(place / "images" / "a.jpg") == [place / "images" / "a.jpg"]


def test_a_missing_image_is_named_with_its_line_and_the_tried_places(place):
    (place / "l.txt").write_text("images/a.jpg\n\nimages/no.jpg\n")
    with pytest.raises(DataError) as caught:
        read_image_list(place / "l.txt")
    assert str(caught.value) == (
        f"{place}/l.txt:3: the image 'images/no.jpg' does not exist (tried images/no.jpg, {place}/images/no.jpg); "
        "write paths that start at the working directory or at the folder of the list")


def test_problems_are_collected_where_a_list_for_them_is_given(place):
    (place / "l.txt").write_text("x.jpg\nimages/a.jpg\n/nowhere/y.jpg\n")
    problems = []
    assert names(read_image_list(place / "l.txt", problems=problems)) == ["a.jpg"]
    assert [str(problem.where) for problem in problems] == [f"{place}/l.txt:1", f"{place}/l.txt:3"]
    assert str(problems[1]) == (f"{place}/l.txt:3: the image '/nowhere/y.jpg' does not exist; "
                                "write the path where the image is")


@pytest.mark.parametrize(("name", "data", "message"), [
    ("l.txt", b"", "{0}/l.txt: names no image; write one path per line"),
    ("l.txt", b"\n \r\n", "{0}/l.txt: names no image; write one path per line"),
    ("no.txt", None, "{0}/no.txt: does not exist; give an image list, an image, a folder, or a pattern in quotes"),
    ("*.gif", None, "{0}/*.gif: matches no image; check the pattern, and quote it, or the shell expands it"),
])
def test_what_is_no_list_is_refused(place, name, data, message):
    if data is not None:
        (place / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_image_list(place / name)
    assert str(caught.value) == message.format(place)


def test_a_name_longer_than_the_system_allows_is_no_list(place):
    with pytest.raises(DataError, match="does not exist; give an image list"):
        read_image_list(5000 * "x")


def test_a_binary_file_is_no_list(place):
    (place / "model.weights").write_bytes(b"\0\1\2\3\0\0")
    with pytest.raises(DataError, match=r"model.weights:1: holds zero bytes, so this is no list"):
        read_image_list(place / "model.weights")


def test_a_folder_without_images_is_refused(place):
    with pytest.raises(DataError, match="holds no image; name a folder with files that end with .bmp, "):
        read_image_list(Path.cwd())


@needs_shared
def test_the_list_of_a_real_set_is_found_from_its_own_folder(place):
    images = read_image_list(SHARED / "datasets" / "coco128-train2017" / "train.txt")
    assert len(images) == 128
    assert all(path.is_file() for path in images)
