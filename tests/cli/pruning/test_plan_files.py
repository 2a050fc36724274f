"""Plans as files: saved, applied, compared, and refused where they do not belong."""

from __future__ import annotations

from tests.cli.pruning.command import CFG, run


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
