"""The gammas of all epochs survive a resume, and those of epochs that are done again do not."""

from __future__ import annotations

import numpy as np
import pytest

from utils.reports.training import GammaHistory
from utils.reports.training.gamma_history import BEFORE


def filled(path, epochs):
    history = GammaHistory(path)
    for epoch in epochs:
        history.add(epoch, {3: np.full(4, 1 / (epoch + 2)), 7: np.arange(2) + epoch})
    return history


def test_a_resumed_history_goes_on_where_the_checkpoint_was(tmp_path):
    filled(tmp_path / "gammas.npz", [BEFORE, 0, 1, 2])
    resumed = GammaHistory(tmp_path / "gammas.npz", first_epoch=2)
    assert BEFORE in resumed
    assert 1 in resumed
    assert 2 not in resumed
    np.testing.assert_array_equal(resumed.layers(1)[7], [1, 2])
    np.testing.assert_allclose(resumed.layers(BEFORE)[3], 1.0)


def test_a_new_training_forgets_the_old_one(tmp_path):
    filled(tmp_path / "gammas.npz", [BEFORE, 0])
    assert BEFORE not in GammaHistory(tmp_path / "gammas.npz")


def test_the_first_and_the_last_are_always_among_the_chosen(tmp_path):
    labels = [label for label, _ in filled(tmp_path / "gammas.npz", [BEFORE, *range(30)]).chosen(5)]
    assert labels[0] == "start"
    assert labels[-1] == "epoch 30"
    assert len(labels) == 5
    assert GammaHistory(tmp_path / "empty.npz").chosen(5) == []


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 and no more", b"nonsense"])
def test_a_damaged_file_only_costs_the_old_pictures(tmp_path, damage):
    (tmp_path / "gammas.npz").write_bytes(damage)
    history = GammaHistory(tmp_path / "gammas.npz", first_epoch=5)
    history.add(5, {0: np.ones(3)})
    assert 5 in GammaHistory(tmp_path / "gammas.npz", first_epoch=6)
