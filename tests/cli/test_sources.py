"""What `--source` finds."""

from __future__ import annotations

import pytest

from utils.cli.sources import find_sources
from utils.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "clip.mp4", "notes.md", "deep/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_a_folder_gives_its_images_and_videos_sorted_and_nothing_else(folder):
    found = find_sources(str(folder))
    assert (names(found.images), names(found.videos)) == (["a.PNG", "b.jpg"], ["clip.mp4"])


def test_a_pattern_gives_what_matches_and_searches_below_with_two_stars(folder):
    assert names(find_sources(f"{folder}/*.jpg").images) == ["b.jpg"]
    assert names(find_sources(f"{folder}/**/*.jpg").images) == ["b.jpg", "c.jpg"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "shot[1].jpg").write_bytes(b"x")
    assert names(find_sources(str(tmp_path / "shot[1].jpg")).images) == ["shot[1].jpg"]


@pytest.mark.parametrize(("source", "message"), [
    ("gone.jpg", "does not exist"), ("*.tif", "matches no file"), ("notes.md", "neither an image nor a video"),
    ("*.md", "holds no image and no video"),
])
def test_nothing_to_look_at_is_an_error(folder, source, message):
    with pytest.raises(DataError, match=message):
        find_sources(f"{folder}/{source}")


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="holds no image and no video"):
        find_sources(str(tmp_path))


def test_a_list_gives_the_images_that_it_names_once_each(folder):
    (folder / "list.txt").write_text("deep/c.jpg\nb.jpg\ndeep/c.jpg\n")
    assert names(find_sources(str(folder / "list.txt")).images) == ["c.jpg", "b.jpg"]
