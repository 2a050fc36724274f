"""File names that are no UTF-8: on Linux a name is bytes, and old archives are full of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from utils.deploy import ENGINES
from utils.deploy.opencv import OpenCvEngine
from utils.errors import EngineError
from utils.reports.training import TensorBoardLog, open_tensorboard

STRANGE = os.fsdecode(b"caf\xe9")


@pytest.fixture
def strange(pair) -> Path:
    """All of `pair` in a folder of that name, seen from the folder around it."""
    files = list(pair.folder.iterdir())
    folder = pair.folder / STRANGE
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    for file in files:
        file.rename(folder / file.name)
    return Path(STRANGE)


def words(folder: Path) -> list[str]:
    return ["--cfg", str(folder / "small.cfg"), "--weights", str(folder / "small.weights"), "--data",
            str(folder / "small.data"), "--threads", "1", "--device", "cpu", "-q"]


def test_commands_read_and_write_there(strange, command, capfd):
    assert command("test.py")([*words(strange), "--save-json", str(strange / "all.json")]) == 0, capfd.readouterr().err
    assert command("detect.py")([*words(strange), "--source", str(strange / "images"), "--output",
                                 str(strange / "found")]) == 0, capfd.readouterr().err
    assert (strange / "all.json").stat().st_size
    assert (strange / "found" / "detections.json").stat().st_size


def test_a_pair_is_pruned_there_and_nothing_crashes(strange, command, capfd):
    code = command("slim_prune.py")([*words(strange), "--global_percent", "0.3"])
    said = capfd.readouterr()
    assert code == 0, said.err
    assert not list(strange.glob(".bonsai*"))


@pytest.mark.skipif(ENGINES["opencv"].missing() is not None, reason=str(ENGINES["opencv"].missing()))
def test_opencv_is_not_given_a_name_that_would_crash_it(strange):
    with pytest.raises(EngineError, match="OpenCV opens no file whose name is no UTF-8"):
        OpenCvEngine(strange / "small.cfg", strange / "small.weights")


def test_a_run_goes_there_without_tensorboard(tmp_path, caplog):
    folder = tmp_path / STRANGE
    pytest.importorskip("tensorboard")
    with caplog.at_level("INFO", logger="utils"):
        assert open_tensorboard(folder, "auto") is None
    with pytest.raises(EngineError, match="name is no UTF-8"):
        TensorBoardLog(folder)
