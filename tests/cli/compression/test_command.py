"""compress.py from a pair to a smaller one: what it writes and says, and what it refuses without writing anything."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import compress
import prune
from tests.cli.pruning.command import everything
from utils.cli.compression.arguments import CRITERIA
from utils.darknet import read_network, read_weights, write_weights


def run(pair: tuple[Path, Path], *words: object) -> int:
    """compress.py; untrained networks find little, so agreement stops nothing."""
    return compress.main(["--cfg", str(pair[0]), "--weights", str(pair[1]), "--repeats", "1", "--min-agreement", "0",
                          *map(str, words)])


@pytest.fixture
def images(data) -> Path:
    return data.parent / "images"


def test_a_pair_its_report_its_page_and_its_plan_are_written(residual_pair, images, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(residual_pair, "--images", images, "--target", "2x", "--out", out, "--plan-out", tmp_path / "p.json",
               "--report") == 0
    said = capsys.readouterr()
    assert {path.name for path in out.iterdir()} == {f"compressed_2x_{name}" for name in
                                                     ("my.cfg", "last.weights", "my.json", "my.html", "my.png")}
    facts = json.loads((out / "compressed_2x_my.json").read_text())
    cut = read_network(out / "compressed_2x_my.cfg")
    assert cut.parameters == facts["after"]["parameters"] <= facts["before"]["parameters"] / 2
    assert (facts["strategy"], facts["parameters"]["target"], facts["repair"]["name"]) == ("compress", "2x", "reconstruct")
    assert facts["verification"]["status"] == "verified"
    assert facts["sweep"]["chosen"] == facts["sweep"]["points"][-1]["value"] >= 2
    assert "wanted, and there are 4" in said.err
    assert "verified against OpenCV" in said.out
    assert "repaired on 4 images without labels" in (out / "compressed_2x_my.html").read_text()
    assert prune.main(["--cfg", str(residual_pair[0]), "--weights", str(residual_pair[1]), "--repeats", "1", "--apply",
                       str(tmp_path / "p.json"), "--images", str(images), "--out", str(tmp_path / "again")]) == 0
    assert read_network(tmp_path / "again" / "compressed_2x_my.cfg").parameters == cut.parameters


def test_the_same_seed_writes_the_same_bytes(residual_pair, images, tmp_path):
    for name in "ab":
        assert run(residual_pair, "--images", images, "--target", "2x", "--out", tmp_path / name) == 0
    one, other = (everything(tmp_path / name) for name in "ab")
    assert [one[name] == other[name] for name in ("compressed_2x_my.cfg", "compressed_2x_last.weights")] == [True, True]


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_measures_each_round_anew(criterion, residual_pair, data, tmp_path):
    assert run(residual_pair, "--data", data, "--criterion", criterion, "--target", "1.5x", "--rounds", 2,
               "--out", tmp_path / "out") == 0
    facts = json.loads((tmp_path / "out" / "compressed_1.5x_my.json").read_text())
    assert facts["parameters"]["criterion"] == criterion
    assert facts["after"]["parameters"] <= facts["before"]["parameters"] / 1.5


def test_multiples_blocks_and_several_targets(residual_pair, images, tmp_path):
    assert run(residual_pair, "--images", images, "--target", "1.5x", "gflops:1.2x", "--round", 4, "--keep-blocks",
               "--out", tmp_path / "out") == 0
    facts = json.loads((tmp_path / "out" / "compressed_1.5x_gflops1.2x_my.json").read_text())
    assert facts["after"]["gflops"] <= facts["before"]["gflops"] / 1.2
    assert facts["summary"]["blocks"] == []
    assert all(row["after"] % 4 == 0 for row in facts["summary"]["widths"] if row["after"] < row["before"])


def spoiled(kind: str, pair: tuple[Path, Path], data: Path) -> list[object]:
    """Spoil one thing; returns the words of the command."""
    folder = data.parent / "images"
    given = ["--images", folder, "--target", "2x"]
    match kind:
        case "no target":
            return ["--images", folder]
        case "no images":
            return ["--target", "2x"]
        case "an empty folder":
            for image in folder.iterdir():
                image.unlink()
        case "one image":
            return ["--images", folder / "0.png", "--target", "2x"]
        case "only unreadable images":
            for image in folder.iterdir():
                image.write_bytes(b"no picture")
        case "constant images":
            for image in folder.iterdir():
                cv2.imwrite(str(image), np.full((48, 80, 3), 90, np.uint8))
        case "numbers that overflow":
            network = read_network(pair[0])
            arrays = read_weights(pair[1], network)
            for layer in arrays.layers[:3]:
                for array in layer.values():
                    array[:] = 1e30
            write_weights(pair[1], network, arrays)
        case "a target that nothing reaches":
            return ["--images", folder, "--target", "1000000x"]
        case "a target above the present size":
            return ["--images", folder, "--target", "params:1M"]
        case "a drop without labels":
            return ["--images", folder, "--max-drop", 0.01]
        case "a drop of nothing":
            for label in (data.parent / "labels").iterdir():
                label.write_text("")
            return ["--data", data, "--max-drop", 0.01]
        case "gradients without labels":
            return [*given, "--criterion", "taylor"]
        case "a plan over the cfg":
            return [*given, "--plan-out", pair[0]]
        case "a plan over the result":
            return [*given, "--plan-out", pair[0].parent / "compressed_2x_my.cfg"]
    return given


BAD = {
    "no target": "--target: says how small the network shall be",
    "no images": "--images: is missing",
    "an empty folder": "holds no image",
    "one image": "has 1 image",
    "only unreadable images": "png",
    "constant images": "of a single colour",
    "numbers that overflow": "NaN or infinite",
    "a target that nothing reaches": "with a channel left in each layer it still has",
    "a target above the present size": "as it is",
    "a drop without labels": "--max-drop: needs --data",
    "a drop of nothing": "no label",
    "gradients without labels": "taylor needs labels",
    "a plan over the cfg": "would overwrite an input",
    "a plan over the result": "or another result",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_ends_with_2_one_line_and_nothing_written(kind, residual_pair, data, tmp_path, capsys):
    words = spoiled(kind, residual_pair, data)
    before = everything(tmp_path)
    assert run(residual_pair, *words) == 2
    said = capsys.readouterr().err
    assert BAD[kind] in said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("error: ")
    assert everything(tmp_path) == before


def test_an_unreadable_image_is_reported_and_left_out(residual_pair, images, tmp_path, capsys):
    (images / "1.png").write_bytes(b"no picture")
    assert run(residual_pair, "--images", images, "--target", "1.5x", "--out", tmp_path / "out") == 0
    assert "1.png" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "compressed_1.5x_my.json").read_text())["repair"]["images"] == 3


def test_ctrl_c_in_a_round_leaves_nothing_behind(residual_pair, images, tmp_path, capsys, monkeypatch):
    before = everything(tmp_path)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("utils.training.compression.reconstructed", interrupted)
    assert run(residual_pair, "--images", images, "--target", "2x") == 130
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert everything(tmp_path) == before
