"""Reports as JSON: everything that a report holds has a form, and a file is whole or not there."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from utils.errors import OutputError
from utils.reports import plain, write_json


@dataclasses.dataclass(frozen=True)
class Cost:
    parameters: int
    share: float


def test_dataclasses_arrays_paths_and_tuples_have_a_plain_form(tmp_path):
    report = {"cost": Cost(3, 0.5), "widths": np.arange(3), "cfg": Path("cfg/a.cfg"), 1: (np.float32(0.5), np.int64(2)),
              "name": "Größe", "set": {2, 1}, "none": None, "yes": np.bool_(True)}
    write_json(tmp_path / "report.json", report)
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {
        "cost": {"parameters": 3, "share": 0.5}, "widths": [0, 1, 2], "cfg": "cfg/a.cfg", "1": [0.5, 2],
        "name": "Größe", "set": [1, 2], "none": None, "yes": True,
    }


def test_a_file_name_that_is_no_utf8_comes_back(tmp_path):
    name = os.fsdecode(b"caf\xe9.cfg")
    write_json(tmp_path / "report.json", {"cfg": Path(name)})
    assert json.loads((tmp_path / "report.json").read_bytes()) == {"cfg": name}


def test_nan_and_infinity_become_null_because_json_has_neither():
    assert plain([float("nan"), np.array([np.inf, 1.0])]) == [None, [None, 1.0]]


def test_what_has_no_json_form_is_an_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(TypeError, match="object has no JSON form"):
        write_json(path, {"x": object()})
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_a_folder_that_does_not_exist_is_an_error_with_its_name(tmp_path):
    with pytest.raises(OutputError, match=r"missing/report\.json: cannot be written"):
        write_json(tmp_path / "missing" / "report.json", {})
