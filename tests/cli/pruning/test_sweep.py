"""--sweep and --max-drop: every cut is measured, one is written, and impossible wishes are told before the time is spent."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.cli.pruning.command import COMMANDS, everything
from utils.cli.pruning.measuring import Validation


@pytest.fixture
def measured_maps(monkeypatch):
    """mAP@0.5 by the name of what is evaluated, in place of what untrained networks reach; and what was evaluated."""
    maps, evaluated, honest = {}, [], Validation.evaluate

    def evaluate(self, pair, name):
        evaluated.append(name)
        result = honest(self, pair, name)
        return dataclasses.replace(result, metrics=dataclasses.replace(result.metrics, map50_coco=maps[name]))

    monkeypatch.setattr(Validation, "evaluate", evaluate)
    return maps, evaluated


def test_every_cut_is_measured_once_and_the_one_asked_for_is_written(residual_pair, data, tmp_path, capsys, measured_maps):
    maps, evaluated = measured_maps
    maps |= {"before": 0.8, "0.2": 0.79, "0.4": 0.77, "0.6": 0.5}
    slim = COMMANDS["slim_prune.py"]
    cfg, _ = slim.cut(residual_pair, tmp_path / "out", "--data", data, "--sweep", "0.2:0.6:0.2")
    assert evaluated == ["before", "0.2", "0.4", "0.6"], "the pair that is written was measured in the sweep"
    sweep = json.loads(cfg.with_suffix(".json").read_text())["sweep"]
    assert [point["value"] for point in sweep["points"]] == [0.2, 0.4, 0.6]
    assert [point["map50"] for point in sweep["points"]] == [0.79, 0.77, 0.5]
    assert sweep["uncut"]["map50"] == 0.8
    costs = [[point[key] for point in [sweep["uncut"], *sweep["points"]]] for key in ("parameters", "gflops", "file_bytes")]
    assert all(cost == sorted(cost, reverse=True) and len(set(cost)) == 4 for cost in costs)
    assert all(point["latency_ms"] > 0 for point in sweep["points"])
    assert (sweep["flag"], sweep["chosen"], sweep["largest_within"]) == ("--global_percent", 0.4, None)
    rows = [line.split()[0] for line in capsys.readouterr().out.split("layer  kind")[0].splitlines() if line]
    assert [row for row in rows if row in ("uncut", "0.2", "0.4", "0.6")] == ["uncut", "0.2", "0.4", "0.6"]


def test_the_largest_cut_within_the_drop_is_written_whatever_smaller_ones_lose(residual_pair, data, tmp_path, capsys,
                                                                                measured_maps):
    measured_maps[0].update({"before": 0.8, "0.1": 0.7, "0.2": 0.79, "0.3": 0.795, "0.4": 0.5})
    assert COMMANDS["prune.py"](residual_pair, "--data", data, "--sweep", "0.1:0.4:0.1", "--max-drop", 0.01,
                                "--out", tmp_path / "out") == 0
    assert "the largest cut that loses at most 0.01 mAP@0.5: --percent 0.3" in capsys.readouterr().out
    facts = json.loads((tmp_path / "out" / "prune_0.3_my.json").read_text())
    assert facts["sweep"]["chosen"] == facts["sweep"]["largest_within"] == facts["parameters"]["percent"] == 0.3
    assert facts["after"]["map50"] == 0.795


def test_where_every_cut_loses_too_much_nothing_is_written_and_the_best_is_named(residual_pair, data, tmp_path, capsys,
                                                                                 measured_maps):
    measured_maps[0].update({"before": 0.8, "0.2": 0.7, "0.4": 0.75})
    before = everything(tmp_path)
    assert COMMANDS["prune.py"](residual_pair, "--data", data, "--sweep", "0.2:0.4:0.2", "--max-drop", 0.01) == 2
    said = capsys.readouterr()
    assert "no cut of the sweep loses at most 0.01 mAP@0.5: --percent 0.4 loses the least, 0.0500" in said.err
    assert "0.7500" in said.out, "the table is shown all the same"
    assert everything(tmp_path) == before


def test_a_map_that_is_not_defined_cannot_be_kept(residual_pair, data, tmp_path, capsys):
    for label in (data.parent / "labels").iterdir():
        label.write_text("")
    assert COMMANDS["prune.py"](residual_pair, "--data", data, "--sweep", "0.2:0.4:0.2", "--max-drop", 0.01) == 2
    said = capsys.readouterr().err
    assert "no label" in said
    assert "nan" not in said


def test_blocks_are_swept_by_whole_numbers_and_a_dry_run_writes_nothing(residual_pair, tmp_path, capsys):
    layer, before = COMMANDS["layer_prune.py"], everything(tmp_path)
    assert layer(residual_pair, "--shortcuts", 1, "--sweep", "0:4:2", "--dry-run") == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[:5]] == ["--shortcuts", "───────────", "uncut", "0", "2"]
    assert "mAP" not in said
    assert everything(tmp_path) == before


@pytest.mark.parametrize(("name", "words", "said"), [
    ("layer_prune.py", ["--sweep", "1:2:0.5"], "takes whole numbers"),
    ("layer_prune.py", ["--sweep", "1:9:1"], "4 residual blocks"),
    ("slim_prune.py", ["--sweep", "0.5:1:0.5"], "takes shares below 1"),
    ("slim_prune.py", ["--sweep", "0.5"], "is not A:B:STEP"),
    ("slim_prune.py", ["--sweep", "0.9:0.1:0.1"], "goes nowhere"),
    ("slim_prune.py", ["--sweep", "0:0.9:0.0001"], "write a larger step"),
    ("slim_prune.py", ["--sweep", "0.1:0.5:0.1", "--max-drop", "0.1"], "needs --data to measure it on"),
    ("slim_prune.py", ["--max-drop", "0.1"], "needs a --sweep to choose from"),
    ("slim_prune.py", ["--max-drop", "1.5"], "is not a difference of mAPs"),
    ("slim_prune.py", ["--sweep", "0.1:0.5:0.1", "--repair", "bn"], "--images: is needed"),
])
def test_impossible_sweeps_are_told_before_anything_is_measured(name, words, said, residual_pair, tmp_path, capsys, monkeypatch):
    before = everything(tmp_path)
    monkeypatch.setattr("utils.cli.pruning.measured_network.latency_of", lambda *_: pytest.fail("something was measured"))
    assert COMMANDS[name](residual_pair, *words) == 2
    assert said in capsys.readouterr().err
    assert everything(tmp_path) == before
