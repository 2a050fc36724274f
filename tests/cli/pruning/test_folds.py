"""--fold and --repair on the command line: each choice does what it says, and says what is only approximate."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.cli.pruning.command import COMMANDS, RESIDUAL_CFG, everything
from tests.generators import random_weights
from utils.cli.pruning.arguments import FOLDS, REDUCTIONS
from utils.darknet import parse_network, read_network, read_weights, write_cfg, write_weights
from utils.pruning import FOLDS as KNOWN_FOLDS
from utils.pruning import REDUCTIONS as KNOWN_REDUCTIONS


def test_the_flags_know_what_the_library_knows():
    assert set(FOLDS) == set(KNOWN_FOLDS)
    assert set(REDUCTIONS) == set(KNOWN_REDUCTIONS)


@pytest.mark.parametrize("fold", FOLDS)
def test_every_fold_is_written_verified_and_reported(fold, residual_pair, tmp_path, capsys):
    cfg, weights = COMMANDS["slim_prune.py"].cut(residual_pair, tmp_path / "out", "--fold", fold)
    facts = json.loads(cfg.with_suffix(".json").read_text())
    assert facts["fold"]["name"] == fold
    assert facts["verification"]["status"] == "verified"
    approximate = facts["fold"]["approximate_layers"]
    assert bool(approximate) == (fold in ("beta", "mean"))
    said = capsys.readouterr().out
    assert ("that read what was removed: padded convolutions at the border" in said) == bool(approximate)
    assert ("is dropped, as --fold none asked" in said) == (fold == "none")
    read_weights(weights, read_network(cfg))


def test_a_block_that_stays_as_an_adder_is_told(tmp_path, capsys):
    """A depthwise convolution reads the last stage: no channel can bring it what the block of layer 13 added."""
    text = RESIDUAL_CFG.replace("[convolutional]\nfilters=14", "[convolutional]\nbatch_normalize=1\nfilters=32\ngroups=32\n"
                                "size=3\npad=1\nactivation=leaky\n\n[convolutional]\nfilters=14")
    network = parse_network(text)
    write_cfg(tmp_path / "my.cfg", network)
    write_weights(tmp_path / "my.weights", network, random_weights(network))
    pair = tmp_path / "my.cfg", tmp_path / "my.weights"
    said = {}
    for fold in ("exact", "beta"):
        out = tmp_path / fold
        assert COMMANDS["layer_prune.py"](pair, "--shortcuts", 4, "--fold", fold, "--out", out) == 0
        facts = json.loads(next(out.glob("*.json")).read_text())
        assert facts["verification"]["status"] == "verified"
        assert (facts["fold"]["adders"], bool(facts["fold"]["approximate_layers"])) == (([13], False) if fold == "exact" else ([], True))
        assert [one["layer"] for one in facts["summary"]["widths"]] == [0, 1, 2, 4, 5, 7, 8, 9, 11, 12, 14, 15]
        assert [one["after"] for one in facts["summary"]["widths"]][-2:] == [32, 14]
        said[fold] = capsys.readouterr().out
    assert "1 of them leaves a depthwise 1x1 convolution behind, which adds the constant" in said["exact"]
    assert "that read what was removed: padded convolutions at the border" in said["beta"]
    assert "approximate" not in said["exact"]
    assert "1x1 convolution behind" not in said["beta"]


def test_folds_are_different_weights_and_the_exact_ones_have_a_channel_more(residual_pair, tmp_path):
    cut = {fold: COMMANDS["slim_prune.py"].cut(residual_pair, tmp_path / fold, "--fold", fold) for fold in FOLDS}
    assert len({weights.read_bytes() for _, weights in cut.values()}) == len(FOLDS)
    plain, exact = (read_network(cut[fold][0]).parameters for fold in ("beta", "exact"))
    assert plain < exact
    assert cut["beta"][0].read_bytes() == cut["mean"][0].read_bytes() == cut["none"][0].read_bytes()


def test_measured_means_differ_from_computed_ones(residual_pair, data, tmp_path):
    images = data.parent / "images"
    computed, measured = (COMMANDS["slim_prune.py"].cut(residual_pair, tmp_path / name, "--fold", "mean", *words)[1]
                          for name, words in (("a", ()), ("b", ("--images", images))))
    assert computed.read_bytes() != measured.read_bytes()


def test_repaired_statistics_are_those_of_the_images(residual_pair, data, tmp_path):
    plain, repaired = (COMMANDS["layer_channel_prune.py"].cut(residual_pair, tmp_path / name, *words)
                       for name, words in (("a", ()), ("b", ("--repair", "bn", "--images", data.parent / "images"))))
    network = read_network(plain[0])
    assert network.fingerprint == read_network(repaired[0]).fingerprint
    for before, after in zip(read_weights(plain[1], network).layers, read_weights(repaired[1], network).layers, strict=True):
        for array in before:
            same = np.array_equal(before[array], after[array])
            assert same == (array not in ("mean", "var")), array
    facts = json.loads(repaired[0].with_suffix(".json").read_text())
    assert facts["command"]["repair"] == "bn"
    assert facts["verification"]["status"] == "verified"


def test_data_serves_for_the_repair_where_no_images_are_given(residual_pair, data, tmp_path):
    slim = COMMANDS["slim_prune.py"]
    by_data = slim.cut(residual_pair, tmp_path / "a", "--repair", "bn", "--data", data)
    by_list = slim.cut(residual_pair, tmp_path / "b", "--repair", "bn", "--images", data.parent / "valid.txt")
    assert by_data[1].read_bytes() == by_list[1].read_bytes()


@pytest.mark.parametrize("words", [("--repair", "bn"), ("--repair", "bn", "--images", "nowhere"),
                                   ("--fold", "mean", "--images", "nowhere")])
def test_images_that_are_missing_are_told_and_nothing_is_written(words, residual_pair, tmp_path, capsys):
    before = everything(tmp_path)
    assert COMMANDS["slim_prune.py"](residual_pair, *words, "--out", tmp_path / "out") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert "--images" in said[0] or "nowhere" in said[0]
    assert everything(tmp_path) == before
