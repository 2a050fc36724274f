"""Scanning a list, and the file that remembers it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.coloured import write
from tests.shared import SHARED, needs_shared
from utils.datasets import DetectionDataset, ImageScan, label_cache, label_path, scan_images
from utils.datasets.label_cache import SUFFIX, label_files
from utils.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "data", [(60, 40), (33, 50), (70, 70), (44, 44)], backgrounds=(2,))


def cache_of(source: Path) -> Path:
    return source.with_name(source.name + SUFFIX)


def same(first: ImageScan, second: ImageScan) -> bool:
    return (first.images == second.images and np.array_equal(first.sizes, second.sizes)
            and all(map(np.array_equal, first.labels, second.labels))
            and list(map(str, first.problems)) == list(map(str, second.problems)))


def test_a_scan_is_what_the_files_say_the_second_time_from_the_cache(source):
    first = scan_images(source, 6)
    assert not first.cached
    plain = DetectionDataset.read(source, 6)
    assert first.paths == plain.paths
    assert all(map(np.array_equal, first.labels, plain.labels))
    assert first.labels[2].shape == (0, 5)
    assert first.sizes.tolist() == [[60, 40], [33, 50], [70, 70], [44, 44]]
    assert (len(first), first.boxes, first.backgrounds) == (4, 6, 1)
    ticks = []
    second = scan_images(source, 6, advance=ticks.append)
    assert second.cached
    assert same(first, second)
    assert sum(ticks) == 4
    dataset = second.dataset(["a"] * 6)
    assert dataset.paths == plain.paths
    assert dataset.sizes().tolist() == first.sizes.tolist()


def change_label(source: Path) -> None:
    (source.parent / "labels" / "0.txt").write_text("1 0.5 0.5 0.25 0.25\n")


def touch_label(source: Path) -> None:
    os.utime(source.parent / "labels" / "0.txt", ns=(1, 1))


def remove_label(source: Path) -> None:
    (source.parent / "labels" / "1.txt").unlink()


def add_label(source: Path) -> None:
    (source.parent / "labels" / "2.txt").write_text("3 0.5 0.5 0.25 0.25\n")


def change_image(source: Path) -> None:
    (source.parent / "images" / "1.png").write_bytes((source.parent / "images" / "0.png").read_bytes())


def shorten_list(source: Path) -> None:
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:3]))


def reorder_list(source: Path) -> None:
    source.write_text("".join(source.read_text().splitlines(keepends=True)[::-1]))


def remove_image(source: Path) -> None:
    (source.parent / "images" / "1.png").unlink()


@pytest.mark.parametrize("change", [change_label, touch_label, remove_label, add_label, change_image, shorten_list,
                                    reorder_list, remove_image])
def test_whatever_changes_is_noticed(source, change):
    scan_images(source, 6)
    change(source)
    again = scan_images(source, 6)
    assert not again.cached
    assert same(again, scan_images(source, 6, cache=None))
    assert scan_images(source, 6).cached


def test_another_number_of_classes_or_another_version_is_made_again(source, monkeypatch, caplog):
    scan_images(source, 6)
    assert not scan_images(source, 7).cached
    assert scan_images(source, 7).cached
    monkeypatch.setattr(label_cache, "_VERSION", 99)
    with caplog.at_level(logging.INFO):
        assert not scan_images(source, 7).cached
    assert caplog.messages == [f"{cache_of(source)}: is of another state of the files and is made again"]
    assert scan_images(source, 7).cached


def test_a_damaged_cache_never_changes_the_result(source):
    (source.parent / "labels" / "0.txt").write_text("0 0.5 0.5 0.25 0.25\n9 0.5 0.5 0.25 0.25\n")
    wanted = scan_images(source, 6)
    whole = cache_of(source).read_bytes()
    random = np.random.default_rng(0)
    damaged = [b"", b"nonsense", whole[:-1], whole[: len(whole) // 2], whole + b"x"]
    for place in random.integers(0, len(whole), 120):
        damaged.append(whole[:place] + bytes([whole[place] ^ int(random.integers(1, 256))]) + whole[place + 1:])
    rebuilt = 0
    for data in damaged:
        cache_of(source).write_bytes(data)
        found = scan_images(source, 6)
        assert same(found, wanted)
        rebuilt += not found.cached
    assert rebuilt > 90


def test_a_cache_that_holds_code_is_not_run(source):
    np.savez(cache_of(source), digest=np.array([print], dtype=object))
    assert not scan_images(source, 6).cached


@pytest.mark.parametrize("name", ["train.txt", "images"])
def test_the_cache_lies_beside_the_list_or_folder(source, name):
    scan_images(source.parent / name, 6)
    assert [path.name for path in source.parent.glob("*.npz")] == [name + SUFFIX]
    assert scan_images(source.parent / name, 6).cached


def test_where_nothing_can_be_written_nothing_is_kept(source, tmp_path, monkeypatch, caplog):
    for cache in (tmp_path / "no" / "folder.npz", tmp_path):
        with caplog.at_level(logging.DEBUG):
            assert len(scan_images(source, 6, cache=cache)) == 4
        assert "the labels are not kept" in caplog.text
        caplog.clear()
    assert scan_images(str(source.parent / "images" / "*.png"), 6).boxes == 6
    assert not scan_images(source, 6, cache=None).cached
    assert not list(tmp_path.rglob("*.npz"))
    scan_images(source, 6, cache=tmp_path / "mine.npz")
    assert scan_images(source, 6, cache=tmp_path / "mine.npz").cached


@pytest.fixture
def bad(source):
    folder = source.parent
    (folder / "labels" / "0.txt").write_text("0 0.5 0.5 0.25 0.25\n\n9 0.5 0.5 0.25 0.25\nx\n")
    (folder / "images" / "1.png").write_bytes(b"nonsense")
    source.write_text(source.read_text() + "nowhere.png\n")
    return source


def test_what_cannot_be_used_is_left_out_and_logged_with_file_and_line_from_the_cache_too(bad, caplog):
    folder = bad.parent
    told = [f"{bad}:5: the image 'nowhere.png' does not exist", f"{folder}/labels/0.txt:3: the class id 9 is too large",
            f"{folder}/labels/0.txt:4: has 1 column instead of 5",
            f"{folder}/images/1.png: is no image that OpenCV can decode"]
    for cached in (False, True):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found = scan_images(bad, 6)
        assert found.cached == cached
        assert len(caplog.messages) == 4
        assert all(f"left out: {words}" in message for words, message in zip(told, caplog.messages, strict=True))
        assert [Path(image).name for image in found.images] == ["0.png", "2.png", "3.png"]
        assert found.labels[0].tolist() == [[0, 0.5, 0.5, 0.25, 0.25]]
        assert found.sizes.shape == (3, 2)
        assert [str(problem).split("; ")[0] for problem in found.problems] == [
            message.removeprefix("left out: ").split("; ")[0] for message in caplog.messages]


def test_strict_raises_the_first_problem_with_and_without_a_cache(bad):
    with pytest.raises(DataError, match=r"train.txt:5: the image 'nowhere.png' does not exist"):
        scan_images(bad, 6, strict=True)
    bad.write_text("".join(bad.read_text().splitlines(keepends=True)[:4]))
    for _ in range(2):
        with pytest.raises(DataError, match=r"0.txt:3: the class id 9 is too large"):
            scan_images(bad, 6, strict=True)


def test_many_problems_are_told_in_short(source, caplog):
    (source.parent / "labels" / "0.txt").write_text("x\n" * 25)
    with caplog.at_level(logging.WARNING):
        scan_images(source, 6)
    assert len(caplog.messages) == 11
    assert caplog.messages[-1] == "left out: 15 more, in the same way"


def test_nothing_usable_and_no_label_file(source, caplog):
    for file in (source.parent / "labels").iterdir():
        file.unlink()
    with caplog.at_level(logging.WARNING):
        assert scan_images(source, 6).boxes == 0
    assert caplog.messages == [f"{source}: no image has a label file, so all count as background; the first one would be "
                               f"{source.parent}/labels/0.txt"]
    for file in (source.parent / "images").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"train.txt: no image of it can be used \(the first problem: .*0.png: is empty"):
        scan_images(source, 6)


def test_names_that_are_no_utf8_survive_the_cache(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)  # such a name in a captured log cannot be sent from one test process to another
    source = write(tmp_path / "data", [(30, 30), (30, 30)])
    odd = os.fsencode(tmp_path / "data" / "images") + b"/\xff\xfe.png"
    Path(os.fsdecode(odd)).write_bytes(b"nonsense")
    with source.open("ab") as file:
        file.write(odd + b"\n")
    first = scan_images(source, 6)
    assert len(first.problems) == 1
    assert same(first, scan_images(source, 6))


def test_processes_that_scan_at_once_agree_and_leave_one_whole_cache(source):
    code = f"from utils.datasets import scan_images\nprint(scan_images({str(source)!r}, 6).boxes)"
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
               for _ in range(3)]
    assert [process.communicate()[0] for process in running] == ["6\n"] * 3
    assert [path.name for path in source.parent.iterdir() if "cache" in path.name] == [source.name + SUFFIX]
    assert scan_images(source, 6).cached


@pytest.mark.parametrize("image", ["/d/images/a.jpg", "images/a.b.JPG", "a.png", "/a.png", "/d/images/x/images.jpeg",
                                   "/d/JPEGImages/1.jpg", "/images/d/a", "d/images/.hidden.png", "d/a.unknown",
                                   "/d.jpg/images2/b c.tif", "./images/a.jpg", "images//a.jpg"])
def test_label_files_are_those_of_label_path(image):
    assert [os.path.normpath(file) for file in label_files([image, image])] == [str(label_path(image))] * 2


@needs_shared
def test_a_real_set(tmp_path):
    source = SHARED / "datasets" / "coco128-train2017" / "train.txt"
    first = scan_images(source, 80, cache=tmp_path / "c.npz")
    assert (len(first), first.boxes) == (128, 929)
    assert same(first, scan_images(source, 80, cache=tmp_path / "c.npz"))
