"""The commands in data/: what they write, what they say, and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared import SHARED, needs_shared
from utils.darknet import read_data, read_names
from utils.datasets import DetectionDataset

ROOT = Path(__file__).resolve().parents[2]
BCCD = SHARED / "datasets" / "bccd-voc"
COCO = SHARED / "datasets" / "coco128-train2017"


def boxes_of(data_file, part):
    data = read_data(data_file)
    return sum(map(len, DetectionDataset.read(getattr(data, part), read_names(data.names)).labels))


@needs_shared
def test_convert_voc_turns_the_blood_cells_into_a_data_set(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code = command("convert_voc")([str(BCCD), "--valid", "test", "--out", str(tmp_path / "bccd"), "--save-json",
                                   str(tmp_path / "dropped.json")])
    out = capsys.readouterr().out
    assert code == 0
    assert boxes_of(tmp_path / "bccd" / "bccd.data", "train") == 3941
    assert boxes_of(tmp_path / "bccd" / "bccd.data", "valid") == 945
    assert "train     292                0   3941                  0               0              2" in out
    assert "no area (0 x 0 pixels)  BloodImage_00338.xml object 13 (RBC)" in out
    assert "364 images linked" in out
    record = json.loads((tmp_path / "dropped.json").read_text())
    assert [Path(one["where"].split(" ")[0]).stem for one in record["parts"]["train"]["dropped"]] == [
        "BloodImage_00338", "BloodImage_00343"]
    assert record["parts"]["valid"]["classes"] == {"Platelets": 69, "RBC": 805, "WBC": 71}


@needs_shared
def test_convert_voc_takes_names_and_several_folders(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "my.names").write_text("WBC\nRBC\n")
    twin = tmp_path / "twin"
    twin.mkdir()
    for name in ("Annotations", "JPEGImages"):
        (twin / name).symlink_to(BCCD / name)
    (twin / "ImageSets" / "Main").mkdir(parents=True)
    (twin / "ImageSets" / "Main" / "val.txt").write_text("BloodImage_00001\n")
    code = command("convert_voc")([str(BCCD), str(twin), "--train", "val", "--valid", "test", "--names",
                                   str(tmp_path / "my.names"), "--out", str(tmp_path / "o")])
    captured = capsys.readouterr()
    assert code == 0
    assert f"{twin} has no image set test" in captured.err
    assert read_names(tmp_path / "o" / "o.names") == ("WBC", "RBC")
    assert "the name 'Platelets' is not among the classes" in captured.out
    assert (tmp_path / "o" / "images" / "twin" / "BloodImage_00001.jpg").is_symlink()
    assert len((tmp_path / "o" / "train.txt").read_text().splitlines()) == 88


@needs_shared
def test_convert_coco_turns_a_json_into_a_data_set(command, tmp_path, capsys):
    code = command("convert_coco")(["--train", str(COCO / "instances_with_crowd.json"), str(COCO / "images"), "--names",
                                    str(ROOT / "data" / "coco.names"), "--out", str(tmp_path / "c"), "--images", "copy"])
    out = capsys.readouterr().out
    assert code == 0
    assert boxes_of(tmp_path / "c" / "c.data", "train") == 929
    assert "crowd   instances_with_crowd.json annotation 930 (000000000149.jpg)" in out
    assert "no --valid was given: valid= are the training images" in out
    assert "128 images copied" in out


def test_convert_oxford_hand_turns_mat_files_into_a_data_set(command, tmp_path, capsys):
    scipy_io = pytest.importorskip("scipy.io")
    import cv2
    import numpy as np
    for part in ("training", "validation", "test"):
        place = tmp_path / "hands" / f"{part}_dataset" / f"{part}_data"
        for name in ("images", "annotations"):
            (place / name).mkdir(parents=True)
        (place / "images" / "x.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((40, 60, 3), np.uint8))[1].tobytes())
        cell = np.empty((1, 1), dtype=object)
        cell[0, 0] = {name: np.array([corner]) for name, corner in zip("abcd", [(5, 5), (5, 20), (20, 20), (20, 5)],
                                                                       strict=True)}
        scipy_io.savemat(str(place / "annotations" / "x.mat"), {"boxes": cell})
    assert command("convert_oxford_hand")([str(tmp_path / "hands"), "--out", str(tmp_path / "hand")]) == 0
    assert boxes_of(tmp_path / "hand" / "hand.data", "train") == 2
    assert boxes_of(tmp_path / "hand" / "hand.data", "valid") == 1
    assert "3 images linked" in capsys.readouterr().out


def test_draw_demo_draws_and_tells_where(command, tmp_path, capsys):
    assert command("draw_demo")(["--out", str(tmp_path / "d"), "--images", "6", "--size", "40", "--classes", "circle",
                                 "star"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/d/demo.data: 6 images of circle star\n"
    assert read_names(tmp_path / "d" / "demo.names") == ("circle", "star")


def test_commands_run_from_any_folder_as_scripts(tmp_path):
    done = subprocess.run([sys.executable, str(ROOT / "data" / "draw_demo.py"), "--out", "d", "--images", "2", "--size",
                           "32", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "d" / "demo.data").is_file()


@pytest.mark.parametrize(("name", "words", "line"), [
    ("convert_voc", ["{0}/no", "--out", "{0}/o"], "error: {0}/no: has no folder Annotations; name the folder that holds "
     "Annotations and JPEGImages"),
    ("convert_coco", ["--train", "{0}/no.json", "{0}", "--out", "{0}/o"],
     "error: {0}/no.json: does not exist; check the path of the annotation file"),
    ("convert_coco", ["--train", "a.json", "b", "--names", "{0}/no.names", "--out", "{0}/o"],
     "error: {0}/no.names: does not exist; check the path of the .names file"),
    ("draw_demo", ["--out", "{0}/o", "--images", "1"],
     "error: images: 1 cannot be split into train and valid; draw 2 or more"),
    ("draw_demo", ["--out", "{0}/o", "--size", "10"],
     "error: size: 10 to 10 pixels cannot be drawn; give 32 or more, the smaller one first"),
])
def test_what_makes_no_sense_is_one_line_and_exit_code_2(command, tmp_path, capsys, name, words, line):
    assert command(name)([word.format(tmp_path) for word in words]) == 2
    assert capsys.readouterr().err == line.format(tmp_path) + "\n"
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("name", ["convert_voc", "convert_coco", "convert_oxford_hand", "draw_demo"])
def test_every_command_explains_itself(command, capsys, name):
    assert command(name)(["--help"]) == 0
    assert f"python data/{name}.py" in capsys.readouterr().out


@needs_shared
def test_the_shipped_coco_names_are_those_of_darknets_models():
    assert read_names(ROOT / "data" / "coco.names") == read_names(COCO / "names.txt")


def test_the_shipped_voc_names_are_in_their_usual_order():
    names = read_names(ROOT / "data" / "voc.names")
    assert len(names) == 20
    assert list(names) == sorted(names)
    assert set(names) - set(read_names(ROOT / "data" / "coco.names")) == set()
