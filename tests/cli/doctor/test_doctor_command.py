"""doctor.py itself: exit codes, what it prints where, and real pairs, of which none is wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.shared import SHARED
from utils.cli.doctor.finding import fine, look, wrong
from utils.cli.doctor.showing import coloured, finding_lines, summary

PAIRS = sorted(path.parent for path in SHARED.glob("weights/*/model.cfg"))
MODEL = ["--cfg", "my.cfg", "--weights", "my.weights"]


@pytest.fixture
def doctor(command):
    return command("doctor.py")


def test_healthy_files_give_0_and_sick_ones_1(doctor, healthy, capsys):
    assert doctor([*MODEL, "--data", "my.data"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("0 wrong")
    healthy.edit("my.data", "classes=2", "classes=3")
    assert doctor([*MODEL, "--data", "my.data"]) == 1
    printed = capsys.readouterr()
    assert "\nwrong  names               my.data:1 says classes=3, but my.names has 2 names\n" \
           " mend:   sed -i.bak '1s|.*|classes=2|' my.data\n" in printed.out
    assert printed.out.rstrip().endswith("1 wrong")
    assert printed.err == ""


def test_the_machine_alone_can_be_looked_at(doctor, capsys):
    assert doctor([]) == 0
    assert "fine   torch" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--percent", "0.5"], ["--cfg", "my.cfg", "--percent", "0.5"], ["--percent", "50"],
                                   ["--cfgs", "my.cfg"], ["--img_size", "64"], ["--t_cfg", "my.cfg"], [*MODEL, "--t_weights", "a.weights"],
                                   [*MODEL, "--save-json", "my.cfg"], ["--save-json", "no/folder/a.json"]])
def test_a_command_line_without_sense_gives_2_and_one_line(doctor, healthy, capsys, words):
    before = Path("my.cfg").read_bytes()
    assert doctor(words) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert Path("my.cfg").read_bytes() == before


def test_quiet_leaves_out_what_is_fine(doctor, healthy, capsys):
    healthy.edit("my.data", "classes=2", "classes=3")
    assert doctor([*MODEL, "--data", "my.data", "-q"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith("fine")]
    assert [line for line in lines if line.startswith("wrong  names")]


def test_json_holds_every_finding(doctor, healthy, capsys):
    healthy.edit("my.data", "classes=2", "classes=3")
    assert doctor([*MODEL, "--data", "my.data", "--save-json", "said.json"]) == 1
    said = json.loads(Path("said.json").read_text())
    assert said["summary"] == capsys.readouterr().out.splitlines()[-1]
    (names,) = [finding for finding in said["findings"] if finding["subject"] == "names"]
    assert names == {"mark": "wrong", "subject": "names", "text": "my.data:1 says classes=3, but my.names has 2 names",
                     "commands": ["sed -i.bak '1s|.*|classes=2|' my.data"]}


def test_marks_are_words_and_colours_come_on_top(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert not coloured(Terminal())  # NO_COLOR is set for all tests
    monkeypatch.delenv("NO_COLOR")
    assert (coloured(Terminal()), coloured(io.StringIO())) == (True, False)
    finding = wrong("classes", "do not fit", "first", "second")
    plain = finding_lines(finding)
    assert plain == "wrong  classes             do not fit\n mend:   first\n   or:   second"
    assert finding_lines(finding, colour=True).replace("\033[31m", "").replace("\033[0m", "") == plain
    assert summary([finding, fine("a", "b"), look("c", "d"), fine("e", "f")]) == "4 checks: 2 fine, 1 to look at, 1 wrong"


@pytest.mark.skipif(not PAIRS, reason="the folder of real pairs (../shared, or BONSAI_SHARED) is not on this machine")
def test_real_pairs_are_not_called_wrong(doctor, capsys):
    for folder in PAIRS:
        assert doctor(["--cfg", str(folder / "model.cfg"), "--weights", str(folder / "model.weights"), "-q"]) == 0, \
            capsys.readouterr().out


@pytest.mark.skipif(not PAIRS, reason="the folder of real pairs (../shared, or BONSAI_SHARED) is not on this machine")
def test_a_real_network_and_the_images_that_it_was_trained_for_go_together(doctor, tmp_path, capsys):
    images = SHARED / "datasets" / "coco128-train2017"
    (tmp_path / "coco.data").write_text(f"classes=80\ntrain={images / 'train.txt'}\nvalid={images / 'train.txt'}\n"
                                        f"names={images / 'names.txt'}\n")
    pair = SHARED / "weights" / "yolo-fastest-1.1-coco"
    assert doctor(["--cfg", str(pair / "model.cfg"), "--weights", str(pair / "model.weights"), "--data",
                   str(tmp_path / "coco.data")]) == 0, capsys.readouterr().out
    assert "128 images, 929 boxes; all files are there and whole" in capsys.readouterr().out


@pytest.mark.skipif(not PAIRS, reason="the folder of real pairs (../shared, or BONSAI_SHARED) is not on this machine")
def test_weights_of_a_real_neighbour_are_traced_to_it(doctor, tmp_path, capsys):
    """yoloface-100k with the cfg of yoloface-50k."""
    mine, other = (SHARED / "weights" / name for name in ("yoloface-50k", "yoloface-100k"))
    assert doctor(["--cfg", str(mine / "model.cfg"), "--weights", str(other / "model.weights"), "-q"]) == 1
    assert f"it has the length that {other / 'model.cfg'} asks for" in capsys.readouterr().out
