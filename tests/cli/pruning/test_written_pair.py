"""What a pruning command writes: names, arrays, costs, and that its output is input again."""

from __future__ import annotations

import json
import os

import numpy as np

from models import load_model, save_checkpoint
from tests.cli.pruning.command import CFG, everything, run
from utils.darknet import initial_weights, read_network, read_weights, write_weights
from utils.pruning import apply_plan, slim_plan


def test_the_new_pair_lies_beside_the_inputs_under_the_ancestors_names(pair, tmp_path, capsys):
    cfg, weights = pair
    before = everything(tmp_path)
    assert run(cfg, weights, "--global_percent", 0.5, "--fold", "beta") == 0
    new = set(everything(tmp_path)) - set(before)
    assert new == {"cfg/prune_0.5_keep_0.01_my.cfg", "cfg/prune_0.5_keep_0.01_my.json",
                   "weights/prune_0.5_keep_0.01_last.weights"}
    assert all(everything(tmp_path)[name] == raw for name, raw in before.items())
    out = capsys.readouterr().out
    assert "verified against OpenCV" in out
    assert "approximate in 1 layer that read what was removed: padded convolutions at the border" in out
    assert "parameters" in out


def test_what_is_written_is_what_the_strategy_chose(pair, tmp_path):
    cfg, weights = pair
    assert run(cfg, weights, "--global_percent", 0.5, "--out", tmp_path / "out") == 0
    network = read_network(cfg)
    arrays = read_weights(weights, network)
    smaller, pruned = apply_plan(network, arrays, slim_plan(network, arrays, 0.5, 0.01), fold="exact")
    written = read_network(tmp_path / "out" / "prune_0.5_keep_0.01_my.cfg")
    assert written.fingerprint == smaller.fingerprint != network.fingerprint
    assert written.document.lines[0] == "# a comment that stays\n"
    assert "# max_epochs=3\n" in written.document.lines, "one Darknet aborts on keys that it does not know"
    again = read_weights(tmp_path / "out" / "prune_0.5_keep_0.01_last.weights", written)
    assert again.header.seen == 0
    for ours, theirs in zip(pruned.layers, again.layers, strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_the_report_holds_both_costs_the_four_ratios_and_the_verification(pair, data, tmp_path):
    assert run(*pair, "--data", data, "--global_percent", 0.4, "--out", tmp_path / "out") == 0
    facts = json.loads((tmp_path / "out" / "prune_0.4_keep_0.01_my.json").read_text())
    for side in ("before", "after"):
        assert {"map50", "map", "parameters", "gflops", "file_bytes", "latency_ms"} <= set(facts[side])
        assert facts[side]["map50"] is not None
    assert facts["before"]["parameters"] > facts["after"]["parameters"]
    assert set(facts["reached"]) == {"channels that could go", "all channels", "parameters", "GFLOPs"}
    assert facts["asked"] == {"channels that could go": 0.4}
    assert facts["verification"]["status"] == "verified"
    assert facts["after"]["file_bytes"] == os.path.getsize(tmp_path / "out" / "prune_0.4_keep_0.01_last.weights")


def test_widths_are_multiples_where_asked(pair, tmp_path):
    assert run(*pair, "--global_percent", 0.6, "--round", 8, "--out", tmp_path / "out") == 0
    written = read_network(tmp_path / "out" / "prune_0.6_keep_0.01_round_8_my.cfg")
    assert all(layer.shape.channels % 8 == 0 for layer in written.layers[:2])


def test_an_engine_neutral_pair_has_one_variance_everywhere(pair, tmp_path):
    assert run(*pair, "--global_percent", 0.3, "--engine-neutral", "--out", tmp_path / "out") == 0
    written = read_network(tmp_path / "out" / "prune_0.3_keep_0.01_my.cfg")
    arrays = read_weights(tmp_path / "out" / "prune_0.3_keep_0.01_last.weights", written)
    assert len({float(v) for layer in arrays.layers if "var" in layer for v in layer["var"]}) == 1


def test_a_checkpoint_is_pruned_into_a_weights_file(pair, tmp_path):
    cfg, weights = pair
    save_checkpoint(tmp_path / "last.pt", load_model(cfg, weights))
    assert run(cfg, tmp_path / "last.pt", "--global_percent", 0.5, "--out", tmp_path / "a") == 0
    assert run(cfg, weights, "--global_percent", 0.5, "--out", tmp_path / "b") == 0
    name = "prune_0.5_keep_0.01_last.weights"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_output_is_ordinary_input_for_the_next_round(pair, tmp_path):
    assert run(*pair, "--global_percent", 0.3, "--out", tmp_path / "one") == 0
    assert run(tmp_path / "one" / "prune_0.3_keep_0.01_my.cfg", tmp_path / "one" / "prune_0.3_keep_0.01_last.weights",
               "--global_percent", 0.3, "--out", tmp_path / "two") == 0
    assert (tmp_path / "two" / "prune_0.3_keep_0.01_prune_0.3_keep_0.01_my.cfg").exists()


def test_a_grey_network_is_measured_on_grey_images(pair, data, tmp_path):
    cfg, weights = pair
    cfg.write_text(CFG.replace("channels=3", "channels=1"))
    network = read_network(cfg)
    write_weights(weights, network, initial_weights(network))
    assert run(cfg, weights, "--data", data, "--global_percent", 0.5, "--out", tmp_path / "out") == 0
