"""compare.py from end to end: one row per pair, and figures as JSON."""

from __future__ import annotations

import json

import cv2
import pytest

from utils.darknet import initial_weights, parse_network, write_weights

FEW = ("--data", "small.data", "--repeats", "1", "--threads", "1", "--workers", "0", "-q")


@pytest.fixture
def compare(command):
    return command("compare.py")


@pytest.fixture
def narrow(pair):
    """A second pair beside `pair`, with fewer filters."""
    cfg = pair.cfg.read_text().replace("filters=8", "filters=4")
    (pair.folder / "narrow.cfg").write_text(cfg)
    network = parse_network(cfg)
    write_weights(pair.folder / "narrow.weights", network, initial_weights(network, 2))
    return network


def test_each_pair_has_a_row_with_its_own_figures(pair, narrow, compare, command, capsys):
    assert compare([*FEW, "--latency", "torch", "--save-json", "all.json",
                    "first=small.cfg,small.weights", "narrow.cfg,narrow.weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("first", "narrow"))] == ["first", "narrow"]
    figures = json.loads((pair.folder / "all.json").read_text())
    assert list(figures) == ["first", "narrow"]
    assert figures["narrow"]["parameters"] == narrow.parameters < figures["first"]["parameters"]
    assert figures["narrow"]["file_bytes"] == (pair.folder / "narrow.weights").stat().st_size
    assert figures["first"]["torch_ms"] > 0
    assert "opencv_ms" not in figures["first"]
    assert command("test.py")([*pair.model, "--data", "small.data", "-q", "--threads", "1", "--save-json", "one.json"]) == 0
    alone = json.loads((pair.folder / "one-metrics.json").read_text())["metrics"]
    assert figures["first"]["map50"] == pytest.approx(alone["map50_coco"], abs=1e-6)
    assert figures["first"]["map"] == pytest.approx(alone["map"], abs=1e-6)


def test_an_engine_that_cannot_run_a_pair_leaves_a_gap(pair, narrow, compare, monkeypatch):
    import utils.deploy

    def problems(engine, network):
        return ("it is too wide",) if engine == "opencv" and network.parameters > narrow.parameters else ()

    monkeypatch.setattr(utils.deploy, "engine_problems", problems)
    assert compare([*FEW, "--latency", "torch, opencv", "--save-json", "all.json", "small.cfg,small.weights",
                    "narrow.cfg,narrow.weights"]) == 0
    figures = json.loads((pair.folder / "all.json").read_text())
    assert figures["small"]["opencv_ms"] is None
    assert figures["small"]["torch_ms"] > 0
    assert figures["narrow"]["opencv_ms"] > 0


def test_other_engines_are_asked_whether_they_agree_where_that_is_wanted(pair, narrow, compare, capsys):
    pairs = ["small.cfg,small.weights", "narrow.cfg,narrow.weights"]
    assert compare([*FEW, "--latency", "", "--json", "plain.json", *pairs]) == 0
    assert "verified" not in capsys.readouterr().out
    assert compare([*FEW, "--latency", "", "--json", "all.json", "--verify-engines", "opencv", *pairs]) == 0
    assert "verified" in capsys.readouterr().out
    figures = json.loads((pair.folder / "all.json").read_text())
    assert [one.pop("verified") for one in figures.values()] == ["verified", "verified"]
    assert figures == json.loads((pair.folder / "plain.json").read_text())


def test_the_page_has_the_figures_the_curve_of_a_training_and_what_each_finds(pair, narrow, compare):
    (pair.folder / "results.csv").write_text("epoch,map50\n0,0.1\n1,0.2\n")
    assert compare([*FEW, "--latency", "", "--report", "all.html", "first=small.cfg,small.weights",
                    "narrow.cfg,narrow.weights"]) == 0
    page = (pair.folder / "all.html").read_text()
    assert all(f">{name}</th>" in page for name in ("first", "narrow"))
    assert page.count("<figcaption>") == 2 * 2, "two of the three images have objects"
    assert cv2.imread(str(pair.folder / "all.png")).shape[1] == 1400, "a panel for the training"


@pytest.mark.parametrize(("words", "name"), [
    ("runs/lr=0.1/small.cfg,runs/lr=0.1/small.weights", "small"), ("slow=runs/lr=0.1/small.cfg,runs/lr=0.1/small.weights", "slow"),
])
def test_folders_may_have_an_equals_sign(pair, compare, words, name):
    folder = pair.folder / "runs" / "lr=0.1"
    folder.mkdir(parents=True)
    for file in (pair.cfg, pair.weights):
        (folder / file.name).write_bytes(file.read_bytes())
    assert compare([*FEW, "--latency", "", "--save-json", "all.json", words]) == 0
    assert list(json.loads((pair.folder / "all.json").read_text())) == [name]


@pytest.mark.parametrize(("words", "message"), [
    (["small.cfg,small.weights", "small.cfg,small.weights"], "there are 2 pairs called 'small'; give them names: small1="),
    (["small.cfg"], "'small.cfg' is no pair; write NAME=CFG,WEIGHTS"),
    (["a=small.cfg,"], "is no pair"),
    (["--latency", "abacus", "small.cfg,small.weights"], "there is no engine 'abacus'; choose from torch, opencv"),
    (["--verify-engines", "torch", "small.cfg,small.weights"], "--verify-engines: there is no engine 'torch'; choose from opencv"),
    (["--report", "nowhere/all.html", "small.cfg,small.weights"], "nowhere/all.html: cannot be written"),
    (["--report", "small.names", "small.cfg,small.weights"], "--report: small.names would overwrite an input"),
    (["--json", "all.png", "--report", "all.html", "small.cfg,small.weights"], "--report: all.png would overwrite"),
    (["--json", "nowhere/all.json", "small.cfg,small.weights"], "nowhere/all.json: cannot be written"),
    (["--json", "small.cfg", "small.cfg,small.weights"], "--save-json: small.cfg would overwrite an input"),
    (["--json", "valid.txt", "small.cfg,small.weights"], "--save-json: valid.txt would overwrite an input"),
    (["small.cfg,small.weights", "other=gone.cfg,small.weights"], "gone.cfg"),
])
def test_bad_input_is_one_line_and_nothing_is_measured(pair, compare, monkeypatch, capsys, words, message):
    import utils.training

    monkeypatch.setattr(utils.training, "evaluate_engine", lambda *_, **__: pytest.fail("measured"))
    before = pair.files()
    assert compare([*FEW, *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert len(said.err.splitlines()) == 1
    assert pair.files() == before
