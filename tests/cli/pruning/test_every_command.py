"""All five pruning commands alike: what is wrong with an input ends with 2 and one line, and what is doubtful is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import layer_channel_prune
import layer_prune
import prune
import shortcut_prune
import slim_prune
from models import load_model, save_checkpoint
from tests.cli.pruning.command import CFG, everything
from utils.darknet import initial_weights, read_network, read_weights, write_weights

COMMANDS = {
    "prune": (prune, "--percent", 0.5),
    "shortcut_prune": (shortcut_prune, "--percent", 0.5),
    "slim_prune": (slim_prune, "--global_percent", 0.5),
    "layer_prune": (layer_prune, "--shortcuts", 1),
    "layer_channel_prune": (layer_channel_prune, "--global_percent", 0.5, "--shortcuts", 1),
}
CUT_CHANNELS = [name for name in COMMANDS if name != "layer_prune"]
CUT_LAYERS = ["layer_prune", "layer_channel_prune"]

every_command = pytest.mark.parametrize("command", COMMANDS)


def run(command: str, pair: tuple[Path, Path], *words: object) -> int:
    """The command with a moderate cut; a flag that comes again in `words` counts."""
    module, *cut = COMMANDS[command]
    return module.main(["--cfg", str(pair[0]), "--weights", str(pair[1]), "--repeats", "1", *map(str, (*cut, *words))])


def refused(command: str, pair: tuple[Path, Path], folder: Path, capsys: pytest.CaptureFixture, *words: object) -> str:
    """Run it, check that it ends with 2 and one line of error and changes no file; returns the line."""
    before = everything(folder)
    assert run(command, pair, *words) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert everything(folder) == before
    return errors[0]


def with_gammas(pair: tuple[Path, Path], value: float) -> None:
    """Write the weights again, all gammas alike."""
    network = read_network(pair[0])
    arrays = read_weights(pair[1], network)
    for layer in arrays.layers:
        if "gamma" in layer:
            layer["gamma"][:] = value
    write_weights(pair[1], network, arrays)


@every_command
def test_a_good_pair_is_pruned_verified_and_input_again(command, pair, tmp_path, capsys):
    assert run(command, pair, "--out", tmp_path / "one") == 0
    said = capsys.readouterr().out
    assert "verified against OpenCV" in said
    (cfg,), (weights,) = ((tmp_path / "one").glob(f"*.{kind}") for kind in ("cfg", "weights"))
    cut, whole = read_network(cfg), read_network(pair[0])
    assert cut.parameters < whole.parameters
    assert prune.main(["--cfg", str(cfg), "--weights", str(weights), "--percent", "0.2", "--repeats", "1",
                       "--out", str(tmp_path / "two")]) == 0


@every_command
@pytest.mark.parametrize(("text", "said"), [
    ("{", "is not JSON"), ("[]", "is JSON, but no plan"), ('{"format": "bonsai plan", "version": 99}', "is a plan of version 99"),
    ('{"format": "bonsai plan", "version": 2, "strategy": "slim"}', "is a damaged plan"),
    ("\xff", "is not JSON"),
])
def test_a_broken_plan_is_refused(command, text, said, pair, tmp_path, capsys):
    (tmp_path / "plan.json").write_text(text)
    error = refused(command, pair, tmp_path, capsys, "--plan-in", tmp_path / "plan.json", "--out", tmp_path / "out")
    assert f"{tmp_path / 'plan.json'}: {said}" in error


@every_command
def test_a_plan_whose_channels_the_network_does_not_have_is_refused(command, pair, tmp_path, capsys):
    plan = tmp_path / "plan.json"
    assert run("slim_prune", pair, "--dry-run", "--plan-out", plan) == 0
    facts = json.loads(plan.read_text())
    facts["keep"]["0"] = {"filters": 16, "channels": [0, 99]}
    plan.write_text(json.dumps(facts))
    capsys.readouterr()
    assert "do not all lie in [0, 16)" in refused(command, pair, tmp_path, capsys, "--plan-in", plan)


@every_command
def test_a_plan_of_another_cfg_is_refused(command, pair, tmp_path, capsys):
    assert run(command, pair, "--dry-run", "--plan-out", tmp_path / "plan.json") == 0
    capsys.readouterr()
    pair[0].write_text(CFG.replace("mish", "leaky"))
    error = refused(command, pair, tmp_path, capsys, "--apply", tmp_path / "plan.json")
    assert "is not the network that this plan was made for (their fingerprints differ)" in error


@every_command
def test_gammas_that_are_no_numbers_are_refused_in_either_kind_of_file(command, pair, tmp_path, capsys):
    model = load_model(*pair)
    model.layers[1].bn.weight.data[3] = np.nan
    save_checkpoint(tmp_path / "nan.pt", model)
    assert "NaN" in refused(command, (pair[0], tmp_path / "nan.pt"), tmp_path, capsys)
    raw = np.fromfile(pair[1], np.float32)
    raw[5 + 16 + 2] = np.nan  # header 20 bytes, betas of layer 0, then its gammas
    raw.tofile(pair[1])
    assert "NaN" in refused(command, pair, tmp_path, capsys)


@every_command
def test_a_cfg_with_nothing_to_prune_is_told(command, pair, tmp_path, capsys):
    text = CFG.replace("batch_normalize=1\n", "").replace("activation=linear\n\n[maxpool]", "activation=leaky\n\n[maxpool]")
    pair[0].write_text(text)
    network = read_network(pair[0])
    write_weights(pair[1], network, initial_weights(network))
    error = refused(command, pair, tmp_path, capsys)
    assert "has no residual block that could go" in error if command == "layer_prune" else \
        "has no channel that could be removed: all are fixed or without batch norm" in error


@pytest.mark.parametrize("command", CUT_LAYERS)
def test_more_shortcuts_than_there_are_are_refused_with_their_number(command, pair, tmp_path, capsys):
    error = refused(command, pair, tmp_path, capsys, "--shortcuts", 2)
    assert "has 1 residual block, 1 of which can go, and 2 should; ask for 1 at most" in error
    assert "all 1 stay" in refused(command, pair, tmp_path, capsys, "--min-blocks-per-stage", 1)


@pytest.mark.parametrize("command", CUT_CHANNELS)
def test_a_share_that_would_empty_a_layer_leaves_its_best_channel_and_says_so(command, pair, tmp_path, capsys):
    network = read_network(pair[0])
    arrays = read_weights(pair[1], network)
    for layer in (0, 1):
        arrays.layers[layer]["gamma"][:] = np.linspace(0.1, 0.2, 16)
    write_weights(pair[1], network, arrays)
    pair[0].write_text(CFG.replace("[maxpool]", "[convolutional]\nbatch_normalize=1\nfilters=16\nactivation=leaky\n\n[maxpool]"))
    network = read_network(pair[0])
    wider = initial_weights(network)
    for layer in (0, 1):
        wider.layers[layer].update(arrays.layers[layer])
    write_weights(pair[1], network, wider)
    words = ["--shortcuts", 0] if command == "layer_channel_prune" else []
    share = COMMANDS[command][1]
    assert run(command, pair, share, 0.9, "--fold", "beta", "--out", tmp_path / "out", *words) == 0
    said = capsys.readouterr().err
    assert "would have been emptied" in said
    assert "best channels stay" in said
    assert f"{share} " in said
    cut = read_network(next((tmp_path / "out").glob("*.cfg")))
    assert [layer.shape.channels for layer in cut.layers if layer.kind == "convolutional"][:2] == [1, 1]


@every_command
def test_a_network_that_was_never_made_sparse_is_told_before_anything_else(command, pair, tmp_path, capsys):
    with_gammas(pair, 1.0)
    assert run(command, pair, "--dry-run") == 0
    warning, *_ = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: this network was hardly trained with sparsity: 0.0% of its gammas are near zero")
    assert warning.endswith("train with -sr first, or expect a long fine-tuning")
    with_gammas(pair, 1e-4)
    assert run(command, pair, "--dry-run") == 0
    assert "sparsity" not in capsys.readouterr().err


@every_command
@pytest.mark.parametrize("fold", ["mean", "exact-mean"])
def test_means_are_measured_on_images_where_some_are_given(command, fold, pair, data, tmp_path):
    images = data.parent / "images"
    assert run(command, pair, "--fold", fold, "--images", images, "--out", tmp_path / "a") == 0
    assert run(command, pair, "--fold", fold, "--out", tmp_path / "b") == 0
    one, other = (next((tmp_path / name).glob("*.weights")).read_bytes() for name in "ab")
    assert one != other


@every_command
def test_batch_norms_are_repaired_on_images_or_the_lack_of_them_is_told(command, pair, data, tmp_path, capsys):
    assert "--images: is needed to measure on images" in refused(command, pair, tmp_path, capsys, "--repair", "bn")
    whole = data.read_text()
    data.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith("train=")))
    assert "does not say train=" in refused(command, pair, tmp_path, capsys, "--repair", "bn", "--data", data)
    assert run(command, pair, "--repair", "bn", "--images", data.parent / "images", "--out", tmp_path / "out") == 0
    cut = read_network(next((tmp_path / "out").glob("*.cfg")))
    arrays = read_weights(next((tmp_path / "out").glob("*.weights")), cut)
    assert not np.allclose(arrays.layers[0]["var"], 1)


def test_a_plan_without_its_number_gives_a_plain_name():
    from utils.cli.pruning.prefixes import name_prefix
    from utils.pruning import Plan

    assert name_prefix(Plan("normal", {"percent": None}, "", {})) == "pruned_"
    assert name_prefix(Plan("normal", {"percent": 0.5, "round_to": None}, "", {})) == "prune_0.5_"
