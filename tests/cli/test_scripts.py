"""The shell scripts: they parse, refuse half a request, and the quickstart runs from nothing to a verified pair."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted([*ROOT.glob("scripts/*.sh"), *ROOT.glob("data/*.sh"), *ROOT.glob("weights/*.sh"), ROOT / ".ci" / "run"])

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")


def quickstart(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(ROOT / "scripts" / "quickstart.sh")], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, "VENV": sys.prefix, **environment}, timeout=590)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_script_is_valid_bash(script):
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_continuous_integration_runs_what_a_developer_runs():
    text = (ROOT / ".ci" / "run").read_text()
    assert "scripts/test.sh" in text
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_quickstart_wants_a_whole_pair_or_none(tmp_path):
    (tmp_path / "a.cfg").write_text("[net]\n")
    half = quickstart(tmp_path, CFG="a.cfg")
    assert (half.returncode, half.stderr) == (2, "error: give all of CFG=, WEIGHTS= and DATA=, or none of them\n")
    gone = quickstart(tmp_path, CFG="a.cfg", WEIGHTS="gone.weights", DATA="a.data")
    assert gone.returncode == 2
    assert gone.stderr == f"error: WEIGHTS={tmp_path}/gone.weights does not exist\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.cfg"]


def test_the_installation_is_skipped_where_it_was_done(tmp_path):
    """A stamp with the requirements' checksum is all that it takes; another checksum installs again."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text('#!/bin/sh\necho "python $*"\n')
    python.chmod(0o755)
    script = f'source "{ROOT}/scripts/venv.sh"; ensure_venv requirements-dev.txt; echo "ready $VENV_PYTHON"'

    def run() -> list[str]:
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True,
                              env={**os.environ, "VENV": str(venv), "TORCH_INDEX_URL": ""})
        return done.stdout.splitlines()

    assert any("-m pip install" in line for line in run())
    assert run() == [f"ready {python}"]
    (venv / ".installed-requirements-dev.txt").write_text("another")
    assert any("-m pip install" in line for line in run())


def test_a_relative_venv_is_meant_from_the_callers_folder(tmp_path):
    (tmp_path / "mine" / "bin").mkdir(parents=True)
    (tmp_path / "mine" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "other").mkdir()
    script = (f'source "{ROOT}/scripts/venv.sh"; cat "{ROOT}/requirements.txt" "{ROOT}/requirements-dev.txt" | cksum > '
              'mine/.installed-requirements-dev.txt; ensure_venv requirements-dev.txt; cd other; echo "$VENV_PYTHON"')
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env={**os.environ, "VENV": "mine"})
    assert done.stdout == f"{tmp_path}/mine/bin/python\n"


@pytest.mark.slow
def test_the_quickstart_ends_with_a_verified_pair(tmp_path):
    if not (Path(sys.prefix) / ".installed-requirements-dev.txt").is_file():
        pytest.skip("these tests do not run in the environment that scripts/test.sh makes")
    done = quickstart(tmp_path, IMAGES="20", SIZE="96", WIDTH_MULTIPLE="0.25", EPOCHS="2", TUNE_EPOCHS="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("verified against OpenCV") == 2  # the pruned pair, and the fine-tuned one
    rows = [line.split()[0] for line in done.stdout.splitlines() if line]
    assert [row for row in rows if row in ("baseline", "sparse", "pruned", "fine-tuned")] == [
        "baseline", "sparse", "pruned", "fine-tuned"]
    assert list(tmp_path.iterdir()) == []
