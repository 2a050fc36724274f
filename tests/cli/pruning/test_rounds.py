"""Iterative use: what one command writes, the next one reads, whichever strategy each of them is."""

from __future__ import annotations

import json
from itertools import product

import pytest

from tests.cli.pruning.command import COMMANDS
from tests.cli.pruning.widths import blocks_left, widths
from utils.darknet import read_network, read_weights


@pytest.mark.parametrize(("first", "second"), list(product(COMMANDS, COMMANDS)))
def test_any_command_goes_on_where_any_other_ended(first, second, residual_pair, tmp_path):
    one = COMMANDS[first].cut(residual_pair, tmp_path / "one", "--no-verify")
    two = COMMANDS[second].cut(one, tmp_path / "two", "--no-verify")
    assert two[0].name == f"{COMMANDS[second].prefix}{COMMANDS[first].prefix}my.cfg"
    facts = [json.loads(cfg.with_suffix(".json").read_text()) for cfg, _ in (one, two)]
    for cost in ("parameters", "gflops", "file_bytes"):
        assert facts[0]["before"][cost] > facts[0]["after"][cost] == facts[1]["before"][cost] >= facts[1]["after"][cost]
    network = read_network(two[0])
    read_weights(two[1], network)
    removed = sum({"layer_prune.py": 2, "layer_channel_prune.py": 1}.get(name, 0) for name in (first, second))
    assert sum(blocks_left(two[0])) == 4 - removed


def test_three_rounds_end_with_a_pair_that_opencv_verifies(residual_pair, tmp_path):
    pair = residual_pair
    for number, name in enumerate(("slim_prune.py", "layer_prune.py", "shortcut_prune.py")):
        pair = COMMANDS[name].cut(pair, tmp_path / str(number))
    facts = json.loads(pair[0].with_suffix(".json").read_text())
    assert facts["verification"]["status"] == "verified"
    assert pair[0].name == "prune_0.4_prune_2_shortcut_prune_0.4_keep_0.1_my.cfg"


def test_rounds_without_end_come_to_rest_with_a_channel_per_layer(residual_pair, tmp_path):
    pair, left = residual_pair, []
    for number in range(4):
        out = tmp_path / str(number)
        assert COMMANDS["prune.py"](pair, "--percent", 0.9, "--fold", "beta", "--no-verify", "--out", out) == 0
        pair = next(out.glob("*.cfg")), next(out.glob("*.weights"))
        left.append(list(widths(pair[0]).values())[:-1])
    assert left[-1] == left[-2] == [1] * 10


def test_a_round_after_engine_neutral_is_told_that_gammas_say_nothing_any_more(residual_pair, tmp_path, capsys):
    plain, neutral = (COMMANDS["prune.py"].cut(residual_pair, tmp_path / name, "--no-verify", *flags)
                      for name, flags in (("plain", ()), ("neutral", ("--engine-neutral",))))
    capsys.readouterr()
    COMMANDS["slim_prune.py"].cut(plain, tmp_path / "two", "--no-verify")
    assert "--engine-neutral" not in capsys.readouterr().err
    COMMANDS["slim_prune.py"].cut(neutral, tmp_path / "three", "--no-verify")
    assert f"{neutral[1]} was made with --engine-neutral, so its gammas no longer say which channels matter" in capsys.readouterr().err
