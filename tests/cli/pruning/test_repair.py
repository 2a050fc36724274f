"""--repair: what is left is fitted to what was there where images are at hand, and the JSON report says whether it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.pruning.command import COMMANDS, everything
from tests.reports.pruning.facts import made_up_facts
from utils.cli.pruning.cutting import Cutting
from utils.darknet import read_network, read_weights
from utils.reports import pruning_page
from utils.training import reconstructed

SLIM = COMMANDS["slim_prune.py"]
CUT = ("--global_percent", 0.5)


def cut(pair: tuple[Path, Path], out: Path, *words: object) -> dict:
    """The facts of a cut of half of all channels into `out`."""
    assert SLIM(pair, *CUT, "--out", out, *words) == 0
    return json.loads(next(out.glob("*.json")).read_text())


def weights_in(folder: Path) -> bytes:
    return next(folder.glob("*.weights")).read_bytes()


def test_images_are_reason_enough_to_reconstruct_unless_a_fold_is_asked_for(residual_pair, data, tmp_path):
    images = "--images", data.parent / "images"
    facts = cut(residual_pair, tmp_path / "auto", *images)
    assert (facts["repair"]["name"], facts["repair"]["images"], facts["fold"]["name"]) == ("reconstruct", 4, None)
    assert 0 < facts["repair"]["missed_at_heads"][0] < 1
    folded = cut(residual_pair, tmp_path / "fold", *images, "--fold", "exact")
    assert folded["repair"] == {"name": "none", "images": 0, "missed_at_heads": None}
    assert folded["fold"]["name"] == "exact"
    assert cut(residual_pair, tmp_path / "bare")["repair"]["name"] == "none"
    assert weights_in(tmp_path / "fold") == weights_in(tmp_path / "bare")


def test_the_training_images_of_data_will_do_and_validation_images_will_not(residual_pair, data, tmp_path):
    assert cut(residual_pair, tmp_path / "train", "--data", data)["repair"]["name"] == "reconstruct"
    data.write_text("".join(line for line in data.read_text().splitlines(keepends=True) if not line.startswith("train=")))
    assert cut(residual_pair, tmp_path / "valid", "--data", data)["repair"]["name"] == "none"


@pytest.mark.parametrize(("repair", "fold", "measured_on"), [("none", "exact", 0), ("bn", "exact", 4), ("reconstruct", None, 4)])
def test_what_is_asked_for_is_done_and_said(repair, fold, measured_on, residual_pair, data, tmp_path):
    facts = cut(residual_pair, tmp_path / "out", "--repair", repair, "--images", data.parent / "images")
    assert (facts["repair"]["name"], facts["repair"]["images"], facts["fold"]["name"]) == (repair, measured_on, fold)
    assert facts["verification"]["status"] == "verified"


@pytest.mark.parametrize(("words", "said"), [
    (["--repair", "reconstruct"], "--images: is needed to measure on images"),
    (["--repair", "reconstruct", "--fold", "beta", "--images", "{images}"], "--fold: is for cuts without reconstruction"),
    (["--images", "{one}"], "has 1 image"),
    (["--repair", "best"], "invalid choice: 'best'"),
])
def test_what_cannot_be_is_refused_and_nothing_is_written(words, said, residual_pair, data, tmp_path, capsys):
    before = everything(tmp_path)
    places = {"images": data.parent / "images", "one": data.parent / "images" / "0.png"}
    assert SLIM(residual_pair, *CUT, *(word.format(**places) for word in words)) == 2
    assert said in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_a_repair_without_images_is_refused_before_the_cut_is_remarked_on(residual_pair, capsys):
    assert SLIM(residual_pair, "--global_percent", "0.9", "--dry-run") == 0
    assert "warning: " in capsys.readouterr().err, "this cut is one that is remarked on"
    assert SLIM(residual_pair, "--global_percent", "0.9", "--repair", "bn") == 2
    assert capsys.readouterr().err == "error: --images: is needed to measure on images; give a folder of images, or --data\n"


def test_every_cut_of_a_sweep_is_repaired(residual_pair, data, tmp_path):
    facts = cut(residual_pair, tmp_path / "out", "--repair", "reconstruct", "--images", data.parent / "images",
                "--sweep", "0.3:0.5:0.2")
    assert facts["repair"]["name"] == "reconstruct"
    assert [point["value"] for point in facts["sweep"]["points"]] == [0.3, 0.5]


def test_a_reconstructed_network_misses_less_at_the_heads_than_one_without_repair(residual_pair, data, tmp_path, monkeypatch):
    """The honest pass, once with its corrections and once without."""
    cuttings = []
    honest = Cutting.cut
    monkeypatch.setattr(Cutting, "cut", lambda self, plan: cuttings.append((self, plan)) or honest(self, plan))
    repaired = cut(residual_pair, tmp_path / "out", "--images", data.parent / "images")["repair"]["missed_at_heads"]
    (cutting, plan), = cuttings
    monkeypatch.setattr("utils.training.reconstruction._Run._is_repaired", lambda *_: False)
    network = read_network(residual_pair[0])
    untouched = reconstructed(network, read_weights(residual_pair[1], network), plan, cutting.images.images).heads
    assert repaired[0] < 0.8 * untouched[0]


@pytest.mark.parametrize(("repair", "said"), [
    ("reconstruct", "repaired on 64 images without labels."), ("bn", "batch norms measured anew on 64 images."),
    ("none", "constants of removed channels: exact."),
])
def test_the_page_names_the_repair(repair, said):
    facts = made_up_facts()
    facts["repair"] |= {"name": repair, "images": 64}
    assert said in pruning_page(facts)


def test_the_console_says_what_was_repaired_and_how_near_it_came(residual_pair, data, tmp_path, capsys):
    images = "--images", data.parent / "images"
    facts = cut(residual_pair, tmp_path / "a", *images)
    missed = f"{100 * facts['repair']['missed_at_heads'][0]:.2g} %"
    assert f"repaired on 4 images without labels: of the variance that the heads read, {missed}" in capsys.readouterr().out
    cut(residual_pair, tmp_path / "b", *images, "--repair", "bn")
    assert "batch norms measured anew on 4 images" in capsys.readouterr().out
    cut(residual_pair, tmp_path / "c")
    assert "repaired" not in capsys.readouterr().out
