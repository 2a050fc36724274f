"""Plans as files: saved, applied, compared, and refused where they do not belong."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.pruning.command import CFG, COMMANDS, everything, run
from tests.cli.pruning.widths import widths
from utils.darknet import read_network
from utils.pruning import Keep, Plan


def test_a_dry_run_writes_the_plan_and_nothing_else(pair, tmp_path, capsys):
    assert run(*pair, "--global_percent", 0.5, "--dry-run", "--plan-out", tmp_path / "plan.json") == 0
    assert "nothing was written but the plan" in capsys.readouterr().out
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"my.cfg", "last.weights", "plan.json"}


def test_a_saved_plan_gives_the_same_pair(pair, tmp_path):
    assert run(*pair, "--global_percent", 0.5, "--out", tmp_path / "a", "--plan-out", tmp_path / "plan.json") == 0
    assert run(*pair, "--plan-in", tmp_path / "plan.json", "--out", tmp_path / "b") == 0
    for name in ("prune_0.5_keep_0.01_my.cfg", "prune_0.5_keep_0.01_last.weights"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_plan_may_lie_in_the_new_folder(pair, tmp_path):
    assert run(*pair, "--out", tmp_path / "new", "--plan-out", tmp_path / "new" / "plan.json") == 0
    assert {p.suffix for p in (tmp_path / "new").iterdir()} == {".cfg", ".weights", ".json"}


def test_a_plan_of_another_cfg_is_refused_with_the_reason(pair, tmp_path, capsys):
    cfg, weights = pair
    assert run(cfg, weights, "--dry-run", "--plan-out", tmp_path / "plan.json") == 0
    other = tmp_path / "other.cfg"
    other.write_text(CFG.replace("mish", "leaky"))
    assert run(other, weights, "--plan-in", tmp_path / "plan.json") == 2
    assert "another" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_a_plan_of_any_strategy_is_applied_by_prune_and_names_the_pair_after_itself(name, residual_pair, tmp_path):
    own = COMMANDS[name].cut(residual_pair, tmp_path / "own", "--plan-out", tmp_path / "plan.json")
    assert COMMANDS["prune.py"](residual_pair, "--apply", tmp_path / "plan.json", "--out", tmp_path / "applied") == 0
    for path in own:
        assert (tmp_path / "applied" / path.name).read_bytes() == path.read_bytes()
    facts = json.loads(next((tmp_path / "applied").glob("*.json")).read_text())
    assert facts["strategy"] == COMMANDS[name].strategy


def test_a_plan_that_somebody_else_made_can_be_applied(residual_pair, tmp_path):
    network = read_network(residual_pair[0])
    keep = {layer.index: Keep.all(layer.shape.channels) for layer in network.layers if layer.kind == "convolutional"}
    keep[1] = Keep(8, (0, 3, 5))
    (tmp_path / "plan.json").write_text(Plan("by hand", {}, network.fingerprint, keep).to_json())
    assert COMMANDS["slim_prune.py"](residual_pair, "--apply", tmp_path / "plan.json", "--report", "--out", tmp_path / "out") == 0
    assert widths(tmp_path / "out" / "pruned_my.cfg")[1] == 3 + 1, "and one that carries constants"


def test_two_plans_are_compared_layer_by_layer_and_nothing_is_written(residual_pair, tmp_path, capsys):
    for name in ("layer_channel_prune.py", "slim_prune.py"):
        COMMANDS[name](residual_pair, *COMMANDS[name].words, "--dry-run", "--plan-out", tmp_path / f"{name}.json")
    before = everything(tmp_path)
    capsys.readouterr()
    assert COMMANDS["prune.py"](residual_pair, "--apply", tmp_path / "layer_channel_prune.py.json",
                                "--plan-diff", tmp_path / "slim_prune.py.json") == 0
    said = capsys.readouterr().out
    assert "this plan: layer_channel(" in said
    assert "the other: slim(" in said
    assert re.search(r"the residual block of layer \d+ goes in this plan only", said)
    assert re.search(r"^ +\d+ +\d+ +gone +\d+ +0 +\d+$", said, re.MULTILINE)
    assert COMMANDS["slim_prune.py"](residual_pair, *COMMANDS["slim_prune.py"].words,
                                     "--plan-diff", tmp_path / "slim_prune.py.json") == 0
    assert "both choose the same" in capsys.readouterr().out
    assert everything(tmp_path) == before


def test_a_difference_to_something_that_is_no_plan_is_refused(residual_pair, capsys):
    assert COMMANDS["prune.py"](residual_pair, "--plan-diff", residual_pair[1]) == 2
    assert "is no text" in capsys.readouterr().err


def test_a_saved_plan_cannot_be_swept(residual_pair, tmp_path, capsys):
    COMMANDS["prune.py"](residual_pair, "--dry-run", "--plan-out", tmp_path / "plan.json")
    assert COMMANDS["prune.py"](residual_pair, "--apply", tmp_path / "plan.json", "--sweep", "0.1:0.5:0.1") == 2
    assert "a saved plan is one cut" in capsys.readouterr().err
