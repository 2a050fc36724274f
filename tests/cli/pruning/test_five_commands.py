"""What is special about each pruning command: its names, its defaults, its flags, and what its help teaches."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.pruning.command import COMMANDS, everything
from tests.cli.pruning.widths import blocks_left, widths
from utils.darknet import read_network, read_weights, write_weights
from utils.pruning import layer_plan, normal_plan, shortcut_plan

ALL = pytest.mark.parametrize("name", COMMANDS)
CHANNELS = pytest.mark.parametrize("name", [name for name in COMMANDS if name != "layer_prune.py"])


@ALL
def test_the_new_pair_has_the_ancestors_names_and_says_which_strategy_made_it(name, residual_pair, tmp_path):
    command = COMMANDS[name]
    before = everything(tmp_path)
    cfg, weights = command.cut(residual_pair, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {cfg.name, weights.name, f"{cfg.stem}.json"}
    assert {key: raw for key, raw in everything(tmp_path).items() if key in before} == before
    facts = json.loads(cfg.with_suffix(".json").read_text())
    assert facts["strategy"] == command.strategy
    assert facts["verification"]["status"] == "verified"
    assert facts["after"]["parameters"] < facts["before"]["parameters"]
    read_weights(weights, read_network(cfg))


@ALL
def test_defaults_are_the_ancestors(name, residual_pair):
    parser = COMMANDS[name].main.__globals__["make_parser"]()
    args = vars(parser.parse_args(["--cfg", "a.cfg", "--weights", "a.weights"]))
    assert {flag: args[flag] for flag in COMMANDS[name].defaults} == COMMANDS[name].defaults
    assert args.get("exclude", "none") == "none"
    assert (args["fold"], args["repair"]) == (None, "auto"), "exact, or what the repair finds"


@ALL
def test_help_shows_an_example_that_parses_and_explains_every_flag(name, capsys):
    assert COMMANDS[name].main(["--help"]) == 0
    said = capsys.readouterr().out
    parser = COMMANDS[name].main.__globals__["make_parser"]()
    example = re.search(rf"python {re.escape(name)} (.*?)\n\n", parser.description, re.DOTALL)[1]
    args = parser.parse_args(example.replace("\\", "").split())
    assert args.cfg == Path("cfg/my.cfg")
    written = re.search(r"Writes (\S*)my\.cfg", parser.description)[1]
    asked = [vars(args)[flag] for flag in COMMANDS[name].defaults]
    assert all(str(value) in written for value in asked), "the name in the text is that of the example"
    for action in parser._actions:
        assert action.help, action
        assert action.option_strings[0] in said


def test_a_command_without_arguments_says_what_it_needs(capsys):
    for command in COMMANDS.values():
        assert command.main([]) == 2
        assert "--cfg" in capsys.readouterr().err


def test_prune_as_the_ancestor_leaves_alone_what_shortcuts_add(residual_pair, tmp_path):
    prune = COMMANDS["prune.py"]
    before = widths(residual_pair[0])
    all_, ancestor = (widths(prune.cut(residual_pair, tmp_path / word, "--exclude", word)[0]) for word in ("none", "ancestor"))
    tied = [0, 2, 5, 7, 9, 12]
    assert all(all_[layer] < before[layer] for layer in tied)
    cut = {layer for layer in before if ancestor[layer] < before[layer]}
    assert cut
    assert cut <= {1, 4, 8, 11}


@CHANNELS
@pytest.mark.parametrize("reduce", ["max", "first", "mean", "sum", "norm"])
def test_every_way_to_score_tied_channels_cuts(name, reduce, residual_pair, tmp_path, capsys):
    command = COMMANDS[name]
    assert command(residual_pair, *command.words, "--reduce", reduce, "--dry-run", "--plan-out", tmp_path / "plan.json") == 0
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["parameters"]["reduce"] == reduce
    assert "convolutions keep their width" in capsys.readouterr().out


def test_shortcut_prune_is_prune_whose_first_convolution_decides(residual_pair, tmp_path):
    network = read_network(residual_pair[0])
    weights = read_weights(residual_pair[1], network)
    first = COMMANDS["prune.py"].cut(residual_pair, tmp_path / "a", "--reduce", "first")
    own = COMMANDS["shortcut_prune.py"].cut(residual_pair, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in own]
    assert normal_plan(network, weights, 0.4).keep != shortcut_plan(network, weights, 0.4).keep


def test_widths_are_multiples_in_every_channel_command(residual_pair, tmp_path):
    for command in COMMANDS.values():
        if command.strategy != "layer":
            assert command(residual_pair, *command.words, "--round", 4, "--fold", "beta", "--out", tmp_path / command.strategy) == 0
            (cfg,) = (tmp_path / command.strategy).glob("*round_4_*.cfg")
            assert all(width % 4 == 0 for width in list(widths(cfg).values())[:-1])


def test_blocks_that_shall_stay_in_a_stage_stay_though_others_matter_more(residual_pair, tmp_path, capsys):
    network = read_network(residual_pair[0])
    weights = read_weights(residual_pair[1], network)
    for feeder, gamma in ((2, 0.1), (5, 0.2), (9, 0.3), (12, 0.4)):
        weights.layers[feeder]["gamma"][:] = gamma
    assert layer_plan(network, weights, 2).blocks == (3, 6)
    write_weights(residual_pair[1], network, weights)
    for name in ("layer_prune.py", "layer_channel_prune.py"):
        share = [] if name == "layer_prune.py" else ["--global_percent", 0.0]
        for least, left in ((0, [2]), (1, [1, 1])):
            out = tmp_path / f"{name}{least}"
            assert COMMANDS[name](residual_pair, "--shortcuts", 2, *share, "--min-blocks-per-stage", least, "--out", out) == 0
            assert blocks_left(next(out.glob("*.cfg"))) == left
        assert COMMANDS[name](residual_pair, "--shortcuts", 3, *share, "--min-blocks-per-stage", 1) == 2
        assert "ask for 2 at most" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [(("--shortcuts", 5), "4 residual blocks"), (("--shortcuts", -1), "--shortcuts"),
                                             (("--shortcuts", 1.5), "--shortcuts")])
def test_more_blocks_than_there_are_are_told(words, said, residual_pair, tmp_path, capsys):
    before = everything(tmp_path)
    for name in ("layer_prune.py", "layer_channel_prune.py"):
        assert COMMANDS[name](residual_pair, *words) == 2
        assert said in capsys.readouterr().err
    assert everything(tmp_path) == before
