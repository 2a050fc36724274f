"""What a run leaves on disk: whole files, in an order that survives a crash between any two."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from models import get_weights, load_model
from tests.training.small_trainer import SmallBatches, small_trainer
from utils.errors import OutputError, WeightsError
from utils.training import run_folder
from utils.training.run_folder import RunFolder, link_results, new_folder, read_resumable

FILES = ("last.pt", "last.weights", "best.pt", "best.weights")


@pytest.fixture
def trained():
    """A trainer after its first epoch."""
    trainer = small_trainer(SmallBatches(2, 2), epochs=1)
    list(trainer.run())
    return trainer


@pytest.fixture
def run(tmp_path: Path, trained) -> RunFolder:
    folder = tmp_path / "run"
    folder.mkdir()
    run = RunFolder(folder, "small.cfg")
    run.begin(trained.model.network)
    return run


def arrays(path: Path, cfg: Path) -> list[bytes]:
    """All arrays of a .weights or .pt file."""
    return [array.tobytes() for layer in get_weights(load_model(cfg, path)).layers for array in layer.values()]


def test_all_four_files_hold_the_network_that_was_evaluated(run, trained):
    run.save(trained, {"epochs": 1}, is_best=True)
    assert run.written() == [run.path / name for name in FILES]
    expected = [array.tobytes() for layer in get_weights(trained.ema.model).layers for array in layer.values()]
    for name in FILES:
        assert arrays(run.path / name, run.cfg) == expected, name
        assert load_model(run.cfg, run.path / name).header.seen == 4, "images of this run"


def test_only_the_best_epoch_changes_best(run, trained):
    run.save(trained, {})
    assert [path.name for path in run.written()] == ["last.pt", "last.weights"]
    run.save(trained, {}, is_best=True)
    before = (run.path / "best.pt").read_bytes()
    with torch.no_grad():
        trained.ema.model.layers[0].weight.add_(1)
    run.save(trained, {})
    assert (run.path / "best.pt").read_bytes() == before
    assert arrays(run.path / "last.weights", run.cfg) != arrays(run.path / "best.weights", run.cfg)


@pytest.mark.parametrize("ema", [True, False])
def test_last_brings_arguments_and_state_and_best_does_not(tmp_path, ema):
    trainer = small_trainer(SmallBatches(2, 2), epochs=1, ema=ema, s=0.01)
    list(trainer.run())
    run = RunFolder(tmp_path, "small.cfg")
    run.save(trainer, {"epochs": 7, "hyp": [["giou", 2.0]]}, is_best=True)
    resumable = read_resumable(tmp_path / "last.pt")
    assert resumable.arguments == {"epochs": 7, "hyp": [["giou", 2.0]]}
    assert resumable.network.document.to_bytes() == trainer.model.network.document.to_bytes()
    again = small_trainer(SmallBatches(2, 2), epochs=1, ema=ema, s=0.01)
    again.load_state(resumable.state)
    assert again.progress == trainer.progress
    for one, other in ((again.model, trainer.model), (again.result, trainer.result)):
        assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    with pytest.raises(WeightsError, match=r"best.pt: holds a network, but no training to go on with; give the last.pt"):
        read_resumable(tmp_path / "best.pt")


@pytest.mark.parametrize("full_at", range(1, 5))
def test_a_disk_that_fills_up_leaves_the_checkpoint_of_before(run, trained, monkeypatch, full_at):
    """The disk is full from the n-th file on: what cannot be written stays as it was, last.pt in any case."""
    run.save(trained, {"epoch": "earlier"}, is_best=True)
    before = {name: (run.path / name).read_bytes() for name in FILES}
    with torch.no_grad():
        trained.ema.model.layers[0].weight.add_(1)
    calls, fsync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) >= full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr("utils.atomic.os.fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        run.save(trained, {"epoch": "later"}, is_best=True)
    after = {name: (run.path / name).read_bytes() for name in FILES}
    assert sum(after[name] != before[name] for name in FILES) == full_at - 1
    assert after["last.pt"] == before["last.pt"]
    assert read_resumable(run.path / "last.pt").arguments == {"epoch": "earlier"}
    assert {path.name for path in run.path.iterdir()} == {*FILES, "small.cfg"}


def test_the_file_that_a_run_goes_on_from_is_written_last(run, trained, monkeypatch):
    """last.pt says how good the best epoch is, so best.* of that epoch must be there before it."""
    order = []
    for name in ("save_weights", "save_checkpoint"):
        original = getattr(run_folder, name)

        def recorded(*arguments, original=original, **named):
            order.append(next(Path(argument).name for argument in arguments if isinstance(argument, Path)))
            return original(*arguments, **named)

        monkeypatch.setattr(run_folder, name, recorded)
    run.save(trained, {}, is_best=True)
    assert order[-1] == "last.pt"


def test_a_file_without_training_is_no_start_for_going_on(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError):
        read_resumable(tmp_path / "x.pt")
    with pytest.raises(WeightsError):
        read_resumable(tmp_path / "nothing.pt")


def test_runs_are_numbered_and_names_are_kept_apart(tmp_path):
    assert [new_folder(tmp_path / "runs", None).name for _ in range(3)] == ["train", "train2", "train3"]
    assert new_folder(tmp_path / "runs", "mine") == tmp_path / "runs" / "mine"
    with pytest.raises(OutputError, match=r"mine: is there already; choose another --name, or go on with it: --resume .*mine/last.pt"):
        new_folder(tmp_path / "runs", "mine")


@pytest.mark.parametrize("name", [None, "mine"])
def test_a_folder_that_cannot_be_made_is_said(tmp_path, name):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OutputError):
        new_folder(tmp_path / "runs", name)


def test_links_point_to_the_last_run_and_spare_files_of_the_user(run, trained, tmp_path):
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "best.weights").write_bytes(b"the user's own")
    run.save(trained, {}, is_best=True)
    assert link_results(run, weights) == [weights / "best.weights"]
    assert (weights / "best.weights").read_bytes() == b"the user's own"
    assert (weights / "last.pt").resolve() == (run.path / "last.pt").resolve()
    other = tmp_path / "other"
    other.mkdir()
    second = RunFolder(other, "small.cfg")
    second.save(trained, {})
    link_results(second, weights)
    assert (weights / "last.pt").resolve() == (other / "last.pt").resolve()
    link_results(second, weights, "_mine")
    assert (weights / "last_mine.weights").resolve() == (other / "last.weights").resolve()


def test_without_a_place_for_links_the_run_is_whole_anyway(run, trained, tmp_path):
    run.save(trained, {})
    assert link_results(run, tmp_path / "nowhere") == []
