"""What `python -m tests.fuzz` found, as small files: each is refused, without a crash and without filling the memory."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.guard import Limits, verdict
from utils.cli.class_names import class_names
from utils.darknet import classes_in_file, initial_weights, parse_network, read_data, read_weights, with_classes
from utils.datasets import read_coco, scan_images
from utils.datasets.image_header import image_size
from utils.datasets.lists import read_image_names
from utils.errors import BonsaiError, DataError
from utils.pruning import Plan, apply_plan, keep_everything

NETWORK = parse_network("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nfilters=14\n[yolo]\nmask=0,1\nanchors=4,4,8,8\n"
                        "classes=2\nnum=2\n")


def weights_of_a_terabyte(folder: Path) -> Callable[[], object]:
    """A sparse file, as a download that reserves its room leaves it: it was to be read whole."""
    file = _sparse_weights(folder)
    return lambda: read_weights(file, NETWORK)


def classes_that_a_terabyte_was_trained_for(folder: Path) -> Callable[[], object]:
    """Only its length matters for that, and it was to be read whole."""
    file = _sparse_weights(folder)
    return lambda: with_classes(NETWORK, classes_in_file(file, NETWORK) or 0)


def a_list_that_names_its_own_folder(folder: Path) -> Callable[[], object]:
    """`.` is there, and has no name that `.txt` could be put behind."""
    (folder / "case.txt").write_bytes(b"./\n")
    return lambda: scan_images(folder / "case.txt", cache=None)


def a_png_whose_header_is_long(folder: Path) -> Callable[[], object]:
    """It says three gigabytes of IHDR, which has 13 bytes: they were to be read."""
    (folder / "case.png").write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 3 * 2**30) + b"IHDR" + bytes(16) + b"IEND")
    return lambda: image_size(folder / "case.png")


def a_zero_byte_in_a_data_file(folder: Path) -> Callable[[], object]:
    """No path holds one: Python raised a ValueError when the file was to be opened."""
    (folder / "case.data").write_bytes(b"classes=2\nnames=ca\0se.names\n")
    return lambda: class_names(None, folder / "case.data", 2)


def a_coco_image_with_a_name_too_long_for_a_file(folder: Path) -> Callable[[], object]:
    """The system calls that an error, not an absence."""
    image = {"id": 1, "file_name": "x" * 300 + ".png", "width": 20, "height": 12}
    (folder / "case.json").write_text(json.dumps({"images": [image], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}))

    def attempt() -> None:
        dropped = read_coco(folder / "case.json", folder).dropped
        raise DataError(dropped[0].where, dropped[0].reason, "")

    return attempt


def a_plan_that_rounds_to_a_word(folder: Path) -> Callable[[], object]:
    """Surgery counts with that parameter."""
    plan = json.loads(keep_everything(NETWORK).to_json())
    plan["parameters"] = {"round_to": "nan"}
    return lambda: apply_plan(NETWORK, initial_weights(NETWORK), Plan.from_json(json.dumps(plan), "case.json"), "exact")


def a_pattern_that_takes_minutes_to_understand(folder: Path) -> Callable[[], object]:
    """For each of its `[` Python looks for a `]` through all that follows."""
    (folder / "case.data").write_bytes(b"classes=2\ntrain=" + b"[" * 100_000)
    return lambda: read_image_names(read_data(folder / "case.data").train)


def _sparse_weights(folder: Path) -> Path:
    with (folder / "case.weights").open("wb") as file:
        file.write(struct.pack("<3iQ", 0, 2, 5, 64))
        file.truncate(20 + 2**40)
    return folder / "case.weights"


@pytest.mark.parametrize(("prepare", "message"), [
    (weights_of_a_terabyte, r"case\.weights: holds 274877906\d+ floats more than <cfg> asks for \(\d+\)"),
    (classes_that_a_terabyte_was_trained_for, r"classes"),
    (a_list_that_names_its_own_folder, r"case\.txt: no image of it can be used \(the first problem: .*case\.txt:1: '\./' is a folder"),
    (a_png_whose_header_is_long, r"case\.png: "),
    (a_coco_image_with_a_name_too_long_for_a_file, r"x\.png does not exist"),
    (a_plan_that_rounds_to_a_word, r"case\.json: is a damaged plan \(ValueError: round_to=nan is no number"),
    (a_pattern_that_takes_minutes_to_understand, r"\[\[: does not exist; give an image list"),
    (a_zero_byte_in_a_data_file, r"case\.data:2: holds zero bytes"),
])
def test_what_was_found_is_refused(prepare, message, tmp_path):
    attempt = prepare(tmp_path)
    told = []

    def refused() -> None:
        with pytest.raises(BonsaiError, match=message) as error:
            attempt()
        told.append(error)

    assert verdict(refused, tmp_path, Limits()) is None
    assert told
