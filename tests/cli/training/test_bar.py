"""What the progress bar of a training says; without a terminal it is a line, here one per batch."""

from __future__ import annotations

import re

import pytest

NUMBER = r"[\d.e+-]+"
LINE = re.compile(rf"epoch (\d)/2: (\d) of 5 batches, (\d+) %, box {NUMBER} obj {NUMBER} cls {NUMBER} total {NUMBER}(.*), "
                  rf"lr {NUMBER}, (\d+) targets, 64x64, ({NUMBER}) images/s, ({NUMBER}) GB")


@pytest.fixture
def lines(work, monkeypatch, capfd):
    """The bar's lines of a training with these flags."""
    monkeypatch.setattr("utils.cli.progress.SECONDS_PER_LINE", 0.0)

    def train(*flags: object) -> list[re.Match[str]]:
        assert work.train(*flags, "--out", "run", "--notest") == 0
        said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("epoch ")]
        found = [LINE.fullmatch(line) for line in said]
        assert all(found), said
        return found

    return train


def test_each_batch_tells_losses_learning_rate_targets_size_speed_and_memory(lines, work):
    found = lines()
    assert [(one[1], one[2], one[3]) for one in found] == [(str(e), str(b), str(20 * b)) for e in (1, 2) for b in range(1, 6)]
    assert all(int(one[5]) > 0 and float(one[6]) > 0 and float(one[7]) > 0.1 for one in found)
    row = work.results("run")[1]
    last = re.search(rf"box ({NUMBER}) obj ({NUMBER}) cls ({NUMBER}) total ({NUMBER})", found[-1][0])
    assert [float(value) for value in last.groups()] == \
        pytest.approx([float(row[f"train/{part}"]) for part in ("box", "obj", "cls", "total")], rel=0.01)


def test_the_penalty_of_sparsity_is_told(lines):
    assert all(re.fullmatch(rf" l1 {NUMBER}", one[4]) for one in lines("-sr", "--s", 0.01))
