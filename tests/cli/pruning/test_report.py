"""--report: the page and the picture lie beside the pair or where they were asked for, and say what the JSON says."""

from __future__ import annotations

import json
import shlex
import sys

import cv2
import pytest

from tests.cli.pruning.command import COMMANDS, everything
from tests.reports.pruning.parsed import ParsedPage


def test_the_page_shows_what_the_json_holds(residual_pair, data, tmp_path, monkeypatch):
    command = COMMANDS["layer_channel_prune.py"]
    monkeypatch.setattr(sys, "argv", ["layer_channel_prune.py", "--cfg", "a name.cfg", "--report"])
    cfg, weights = command.cut(residual_pair, tmp_path / "out", "--data", data, "--report", "--sweep", "0.2:0.4:0.2")
    stem = cfg.stem
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        cfg.name, weights.name, f"{stem}.json", f"{stem}.html", f"{stem}.png"}
    text, facts = cfg.with_suffix(".html").read_text(), json.loads(cfg.with_suffix(".json").read_text())
    page = ParsedPage(text)
    assert list(page.sections) == ["", "costs", "sweep", "widths", "gammas", "pictures", "verification", "command"]
    assert facts["command_line"] == shlex.join(["python", *sys.argv])
    assert "--cfg 'a name.cfg' --report" in page.sections["command"]
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 2 * 4
    assert len(page.of_class("band")) == len(facts["summary"]["blocks"]) == 1
    assert len(page.of_class("curve")) == 4
    for row in facts["summary"]["widths"]:
        assert f"layer {row['layer']}: {row['before']} → {row['after']}" in page.sections["widths"]
    assert f"threshold {facts['gammas']['threshold']:.4g}" in page.sections["gammas"]
    assert "OpenCV verified" in page.sections["verification"]
    assert cv2.imread(str(cfg.with_suffix(".png"))).shape == (1220, 1400, 3)
    assert ".bonsai-" not in text


def test_a_page_has_the_name_that_was_asked_for_and_its_picture_too(residual_pair, tmp_path):
    layer = COMMANDS["layer_prune.py"]
    layer.cut(residual_pair, tmp_path / "out", "--report", tmp_path / "pages" / "mine.html")
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {"mine.html", "mine.png"}
    page = ParsedPage((tmp_path / "pages" / "mine.html").read_text())
    assert "threshold" not in page.sections["gammas"], "layers have none"
    assert not {"pictures", "sweep"} & page.sections.keys()


@pytest.mark.parametrize(("report", "said"), [("weights/last.weights", "overwrite an input"),
                                              ("out/prune_0.4_my.json", "overwrite another result"), ("cfg", "is a folder")])
def test_a_page_overwrites_nothing(report, said, residual_pair, tmp_path, capsys):
    before = everything(tmp_path)
    prune = COMMANDS["prune.py"]
    assert prune(residual_pair, *prune.words, "--out", tmp_path / "out", "--report", tmp_path / report) == 2
    assert said in capsys.readouterr().err
    assert everything(tmp_path) == before
