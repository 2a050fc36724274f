"""Converted data sets on disk: read back they are what they were, on every way to place the images."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest

from tests.shared import SHARED, needs_shared
from utils.darknet import read_data, read_names
from utils.datasets import AnnotatedImage, Annotations, DetectionDataset, Dropped, read_coco, write_yolo
from utils.errors import DataError, OutputError


@pytest.fixture
def source(tmp_path):
    """Annotations of source/images/a.png (a box) and source/images/sub/b.png (none)."""
    images = []
    for name, labels in (("a.png", [[1, 0.5, 0.5, 0.25, 0.125]]), ("sub/b.png", [])):
        path = tmp_path / "source" / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", np.full((8, 16, 3), len(images), np.uint8))[1].tobytes())
        labels = np.array(labels, dtype=np.float32).reshape(-1, 5)
        images.append(AnnotatedImage(path, PurePosixPath(name), 16, 8, labels, np.zeros(len(labels), bool),
                                     np.ones(len(labels), np.float32)))
    return Annotations(("cat", "dog"), tuple(images))


@pytest.mark.parametrize("paths", ["absolute", "relative"])
@pytest.mark.parametrize("images", ["link", "copy", "reference"])
def test_what_was_written_is_read_back_from_any_folder(source, tmp_path, monkeypatch, images, paths):
    monkeypatch.chdir(tmp_path)
    files = write_yolo({"train": source}, Path("out/set"), images=images, paths=paths)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = read_data(files.data)
    assert files.data == tmp_path / "out" / "set" / "set.data"
    assert data.classes == 2
    assert data.train == data.valid == files.lists["train"]
    assert read_names(data.names) == ("cat", "dog")
    dataset = DetectionDataset.read(data.train, 2)
    assert [labels.tolist() for labels in dataset.labels] == [[[1, 0.5, 0.5, 0.25, 0.125]], []]
    assert [int(sample.image.max()) for sample in dataset] == [0, 1]
    assert files.placed == {{"link": "linked", "copy": "copied", "reference": "referenced"}[images]: 2}


def test_absolute_lists_are_what_darknet_reads(source, tmp_path):
    files = write_yolo({"train": source, "valid": source}, tmp_path / "o")
    out = tmp_path / "o"
    assert files.lists["train"].read_text() == f"{out}/images/a.png\n{out}/images/sub/b.png\n"
    assert (out / "labels" / "a.txt").read_text() == "1 0.500000 0.500000 0.250000 0.125000\n"
    assert (out / "labels" / "sub" / "b.txt").read_text() == "", "an image without objects has an empty label file"
    assert files.data.read_text() == (f"classes = 2\ntrain = {out}/train.txt\nvalid = {out}/valid.txt\n"
                                      f"names = {out}/o.names\nbackup = backup\n")


def test_a_relative_set_can_be_moved(source, tmp_path):
    files = write_yolo({"train": source}, tmp_path / "o", images="copy", paths="relative")
    assert files.data.read_text().startswith("classes = 2\ntrain = train.txt\n")
    (tmp_path / "o").rename(tmp_path / "moved")
    assert len(DetectionDataset.read(read_data(tmp_path / "moved" / "o.data").train, 2)) == 2


def test_where_links_are_refused_images_are_hard_linked_and_where_that_is_too_copied(source, tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refused)
    assert write_yolo({"train": source}, tmp_path / "hard").placed == {"hard-linked": 2}
    assert (tmp_path / "hard" / "images" / "a.png").samefile(source.images[0].path)
    monkeypatch.setattr(os, "link", refused)
    assert write_yolo({"train": source}, tmp_path / "copied").placed == {"copied": 2}


def test_a_second_run_replaces_the_first_and_never_the_originals(source, tmp_path):
    before = [image.path.read_bytes() for image in source.images]
    for images in ("link", "copy", "link", "copy", "copy"):
        write_yolo({"train": source}, tmp_path / "o", images=images)
        assert (tmp_path / "o" / "images" / "a.png").is_symlink() == (images == "link")
    assert [image.path.read_bytes() for image in source.images] == before


def test_reference_writes_beside_the_originals_but_not_over_other_labels(source, tmp_path):
    write_yolo({"train": source}, tmp_path / "o", images="reference")
    labels = tmp_path / "source" / "labels" / "a.txt"
    assert labels.read_text() == "1 0.500000 0.500000 0.250000 0.125000\n"
    write_yolo({"train": source}, tmp_path / "o", images="reference")
    labels.write_text("0 0.1 0.1 0.1 0.1\n")
    with pytest.raises(OutputError) as caught:
        write_yolo({"train": source}, tmp_path / "o", images="reference")
    assert str(caught.value) == (f"{labels}: is there already, with other labels; choose --images link or copy, or say "
                                 "--overwrite")
    write_yolo({"train": source}, tmp_path / "o", images="reference", overwrite=True)
    assert labels.read_text().startswith("1 ")


@pytest.mark.parametrize("inside", ["source", "source/images/new"])
def test_nothing_is_written_into_the_set_that_is_read(source, tmp_path, inside):
    with pytest.raises(OutputError) as caught:
        write_yolo({"train": source}, tmp_path / inside, sources=[tmp_path / "source"])
    assert str(caught.value) == (f"{tmp_path / inside}: lies in the data set that is read ({tmp_path / 'source'}); "
                                 "choose a folder beside it")
    assert not (tmp_path / "source" / "train.txt").exists()


def test_what_cannot_be_one_data_set_is_refused(source, tmp_path):
    def refused(message, **parts):
        with pytest.raises(DataError) as caught:
            write_yolo(parts, tmp_path / "o")
        assert str(caught.value) == message
        assert not (tmp_path / "o").exists()

    a, b = source.images
    twin = replace(b, relative=PurePosixPath("a.jpg"))
    refused(f"{b.path}: would share its label file with {a.path}; rename one of them",
            train=replace(source, images=(a, twin)))
    refused(f"{a.path}: is in two parts with different labels; take it out of one",
            train=source, valid=replace(source, images=(replace(a, labels=a.labels[:0]),)))
    refused(f"{tmp_path}/o: the parts have different class names; give both the same names",
            train=source, valid=replace(source, names=("dog", "cat")))
    dropped = Dropped(Path("x.xml"), "", "image", "does not exist")
    refused(f"{tmp_path}/o: no image is left for train (x.xml: does not exist); check the folders that were named",
            train=replace(source, images=(), dropped=(dropped,)))


def test_a_name_with_any_bytes_is_written_as_it_is(source, tmp_path):
    path = source.images[0].path.with_name(os.fsdecode(b"\xe4 b.png"))
    try:
        source.images[0].path.rename(path)
    except OSError:
        pytest.skip("this file system wants UTF-8")
    image = replace(source.images[0], path=path, relative=PurePosixPath(path.name))
    files = write_yolo({"train": replace(source, images=(image,))}, tmp_path / "o")
    assert len(DetectionDataset.read(files.lists["train"], 2)[0].labels) == 1


@needs_shared
def test_a_real_set_survives_conversion(tmp_path):
    folder = SHARED / "datasets" / "coco128-train2017"
    found = read_coco(folder / "instances.json", folder / "images")
    files = write_yolo({"train": found}, tmp_path / "coco", sources=[folder])
    converted = DetectionDataset.read(files.lists["train"], found.names)
    ready_made = DetectionDataset.read(folder / "train.txt", found.names)
    for ours, theirs in zip(converted.labels, ready_made.labels, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-6)
