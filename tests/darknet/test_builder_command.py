"""make_cfg.py: the right cfg in the right place, one line about it, nothing overwritten, exit code 2 for nonsense."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from utils.darknet import read_network
from utils.darknet.builder import ARCHITECTURES, build_cfg

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def main():
    spec = importlib.util.spec_from_file_location("command_make_cfg", ROOT / "make_cfg.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def words(text: str) -> list[str]:
    return text.split()


def test_three_classes_give_a_cfg_and_one_line_about_it(main, tmp_path, capsys):
    out = tmp_path / "mine.cfg"
    assert main(["yolov4-tiny", "--classes", "3", "--width", "416", "--height", "320", "-o", str(out)]) == 0
    assert out.read_bytes() == build_cfg("yolov4-tiny", classes=3, width=416, height=320).encode()
    network = read_network(out)
    bytes_of_weights = (20 + 4 * network.parameters) / 1e6
    printed = capsys.readouterr()
    assert printed.out == (f"{out}: yolov4-tiny, 3 classes, 416x320x3, {network.parameters / 1e6:.2f} M parameters, "
                           f"{network.bflops:.3f} BFLOPs, {bytes_of_weights:.2f} MB of weights\n")
    assert printed.err == ""


def test_the_options_reach_the_builder(main, tmp_path):
    out = tmp_path / "mine.cfg"
    assert main([*words("yolov3-tiny --classes 2 --width 160 --width_multiple 0.25 --round-to 4 --channels 1 --batch 32 "
                        "--subdivisions 8 --max-batches 500 --anchors"), "4,5, 8,9 10,20, 30,30", "-o", str(out)]) == 0
    assert out.read_text() == build_cfg(
        "yolov3-tiny", classes=2, width=160, width_multiple=0.25, round_to=4, channels=1, batch=32, subdivisions=8,
        max_batches=500, anchors=[(4, 5), (8, 9), (10, 20), (30, 30)])


def test_without_a_place_the_cfg_goes_to_the_console_alone(main, capsys):
    assert main(["yolov4-tiny"]) == 0
    printed = capsys.readouterr()
    assert printed.out == build_cfg("yolov4-tiny")
    assert printed.err.startswith("yolov4-tiny, 80 classes, 416x416x3")


def test_classes_are_counted_in_a_names_file(main, tmp_path):
    names, out = tmp_path / "my.names", tmp_path / "mine.cfg"
    names.write_text("cat\ndog\nbird\n")
    assert main(["yolov4-tiny", "--names", str(names), "-o", str(out)]) == 0
    assert {head.options.classes for head in read_network(out).heads} == {3}
    assert main(["yolov4-tiny", "--names", str(names), "--classes", "4", "-o", str(out), "--force"]) == 2


def test_nothing_is_overwritten_without_force(main, tmp_path, capsys):
    out = tmp_path / "mine.cfg"
    out.write_text("precious")
    assert main(["yolov4-tiny", "-o", str(out)]) == 2
    assert out.read_text() == "precious"
    error = capsys.readouterr().err
    assert f"{out}: is there already" in error
    assert "--force" in error
    assert main(["yolov4-tiny", "-o", str(out), "--force"]) == 0
    assert out.read_text() == build_cfg("yolov4-tiny")
    assert main(["yolov4-tiny", "-o", str(out)]) == 0, "the same text again overwrites nothing"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.cfg"]


def test_all_writes_every_architecture_or_none(main, tmp_path, capsys):
    (tmp_path / "yolov7.cfg").write_text("precious")
    assert main(["--all", "-o", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["yolov7.cfg"]
    assert main(["--all", "-o", str(tmp_path), "--force"]) == 0
    assert {path.stem: path.read_text() for path in tmp_path.iterdir()} == \
        {name: build_cfg(name) for name in ARCHITECTURES}
    assert len(capsys.readouterr().out.splitlines()) == len(ARCHITECTURES)


def test_the_list_names_every_architecture_with_its_billions_of_operations(main, capsys):
    assert main(["--list"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()[2:]}
    assert set(rows) == set(ARCHITECTURES)
    assert {"65.879"} <= set(rows["yolov3"])  # as Darknet prints them for its own cfgs
    assert {"141.531"} <= set(rows["yolov3-spp"])
    assert {"128.459"} <= set(rows["yolov4"])
    assert {"5.571"} <= set(rows["yolov3-tiny"])


@pytest.fixture
def labelled(tmp_path):
    """A .data file whose one image (100 wide, 50 high) has ten boxes of each of `sizes`."""
    import cv2
    import numpy as np

    def make(sizes, data="classes=2\ntrain=train.txt\n"):
        cv2.imwrite(str(tmp_path / "a.png"), np.zeros((50, 100, 3), np.uint8))
        (tmp_path / "a.txt").write_text("".join(f"1 0.5 0.5 {w} {h}\n" for w, h in sizes for _ in range(10)))
        (tmp_path / "train.txt").write_text("a.png\n")
        (tmp_path / "my.data").write_text(data)
        return tmp_path / "my.data", tmp_path / "mine.cfg"

    return make


def test_anchors_are_the_sizes_of_the_boxes_where_there_are_just_so_many(main, labelled, capsys):
    data, out = labelled([(0.05, 0.1), (0.5, 0.25), (0.75, 0.9), (0.1, 0.1), (0.2, 0.2), (0.3, 0.6)])
    assert main(["yolov4-tiny", "--width", "320", "--height", "160", "--anchors-from", str(data), "-o", str(out)]) == 0
    head = read_network(out).heads[0].options
    assert head.anchors == ((16, 16), (32, 16), (64, 32), (160, 40), (96, 96), (240, 144))
    assert head.classes == 2
    assert "6 anchors for 60 boxes: mean IoU 1.000" in capsys.readouterr().err


def test_a_letterboxed_network_gets_anchors_of_the_boxes_as_it_will_see_them(main, labelled):
    data, out = labelled([(0.25, 0.25), (0.5, 0.5), (0.75, 1)])
    assert main(["yolov4-csp", "--width", "256", "--anchor-count", "3", "--anchors-from", str(data), "-o", str(out)]) == 0
    assert read_network(out).heads[0].options.anchors == ((64, 32), (128, 64), (192, 128))


@pytest.mark.parametrize(("more", "data", "message"), [
    ([], "classes=2\n", "has no train="),
    ([], "classes=2\ntrain=none.txt\n", "none.txt"),
    (["--classes", "3"], "classes=2\ntrain=train.txt\n", "--classes says 3 classes but"),
    (["--anchor-count", "5"], "classes=2\ntrain=train.txt\n", "cannot be dealt out to the 2 heads"),
    (["--anchor-count", "8"], "classes=2\ntrain=train.txt\n", "too few for 8 anchors"),
])
def test_a_data_set_that_gives_no_anchors_is_refused(main, labelled, more, data, message, capsys):
    path, out = labelled([(0.1, 0.1), (0.2, 0.2)], data)
    assert main(["yolov4-tiny", "--anchors-from", str(path), *more, "-o", str(out)]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_anchors_that_shrink_are_remarked_on(main, tmp_path, capsys):
    assert main(["yolov3-tiny", "--anchors", "30,30,8,9", "-o", str(tmp_path / "a.cfg")]) == 0
    assert "warning: the anchors do not grow" in capsys.readouterr().err


@pytest.mark.parametrize(("line", "message"), [
    ("", "name one architecture"),
    ("yolov4-tiny --list", "name one architecture"),
    ("yolov4-tini", "did you mean yolov4-tiny?"),
    ("yolov4-tiny --width 400", "use 384 or 416"),
    ("yolov4-tiny --classes 0", "write 1 or more"),
    ("yolov4-tiny --classes many", "not a whole number"),
    ("yolov4-tiny --anchors 1,2,3", "3 numbers are no pairs"),
    ("yolov4-tiny --anchors 1,x", "are not numbers"),
    ("yolov4-tiny --anchors 1,2,3,4,5,6", "cannot be dealt out to the 2 heads"),
    ("yolov4-tiny --width-multiple nan", "no factor"),
    ("yolov4-tiny --anchor-count 6", "add --anchors-from"),
    ("yolov4-tiny --names no.names", "no.names"),
    ("yolov4-tiny --anchors-from no.data", "no.data"),
    ("yolov4-tiny -o no/such/folder/my.cfg", "choose a folder that exists"),
    ("--all", "needs a folder"),
    ("--all -o no/such/folder", "is no folder"),
    ("--all --classes 3 -o .", "takes no --classes"),
    ("yolov4-tiny --colour red", "--colour"),
])
def test_nonsense_exits_with_2_and_one_line(main, line, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(words(line)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_help_teaches_with_examples():
    result = subprocess.run([sys.executable, ROOT / "make_cfg.py", "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert "python make_cfg.py yolov4-tiny --classes 3 -o cfg/mine.cfg" in result.stdout


def test_the_command_starts_without_torch():
    code = "import sys, runpy; sys.argv = ['make_cfg.py', '--list']\n" \
           "try: runpy.run_path('make_cfg.py', run_name='__main__')\n" \
           "except SystemExit as stop: assert stop.code == 0\n" \
           "assert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
