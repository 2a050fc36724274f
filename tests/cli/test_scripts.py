"""The shell scripts: they parse, refuse half a request, and lead from a pair or from nothing to a verified pair."""

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


STRATEGIES = {"prune.sh": "prune.py", "shortcut_prune.sh": "shortcut_prune.py", "slim_prune.sh": "slim_prune.py",
              "layer_prune.sh": "layer_prune.py", "layer_channel_prune.sh": "layer_channel_prune.py"}


@pytest.fixture
def echoing(tmp_path):
    """A folder with a pair, and an environment whose python only says what it was asked."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "ASKED"; printf "\\t%s" "$@"; echo\n')
    python.chmod(0o755)
    needed = b"".join((ROOT / name).read_bytes() for name in ("requirements.txt", "requirements-dev.txt"))
    stamp = subprocess.run(["cksum"], input=needed, capture_output=True, check=True).stdout.decode().strip()
    (python.parent.parent / ".installed-requirements-dev.txt").write_text(stamp)
    for name in ("my.cfg", "my.weights", "my.data"):
        (tmp_path / name).write_text("mine")
    return tmp_path


def strategy(script: str, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("CFG", "WEIGHTS", "DATA", "OUT", "PERCENT")}
    return subprocess.run(["bash", str(ROOT / "scripts" / script), *words], cwd=folder, capture_output=True, text=True,
                          env={**clean, "VENV": "venv", **environment}, timeout=60)


PAIR = {"CFG": "my.cfg", "WEIGHTS": "my.weights", "DATA": "my.data"}


@pytest.mark.parametrize("script", STRATEGIES)
def test_a_strategy_goes_from_sparsity_to_a_comparison_with_flags_that_its_command_knows(script, echoing, command):
    done = strategy(script, echoing, "--fold", "beta", **PAIR, OUT="mine", TUNE_EPOCHS="7")
    assert done.returncode == 0, done.stderr
    asked = [line.split("\t")[1:] for line in done.stdout.splitlines() if line.startswith("ASKED")]
    names = [Path(next(word for word in words if word.endswith(".py"))).name for words in asked]
    assert names == ["train.py", STRATEGIES[script], "train.py", "verify.py", "compare.py"]
    pruning = asked[1][asked[1].index(str(ROOT / STRATEGIES[script])) + 1:]
    args = command(STRATEGIES[script]).__globals__["make_parser"]().parse_args(pruning)
    assert (args.cfg, args.data, args.out) == (Path("my.cfg"), Path("my.data"), echoing / "mine" / "pruned")
    assert args.weights == echoing / "mine" / "sparse" / "last.weights"
    assert args.fold == "beta", "what is added goes to the command of the strategy"
    assert ("-sr" in asked[0], "-sr" in asked[2]) == (True, False)
    assert asked[2][asked[2].index("--epochs") + 1] == "7"
    assert {path.name for path in echoing.iterdir()} == {"venv", *PAIR.values()}, "nothing but python writes"


@pytest.mark.parametrize("script", STRATEGIES)
def test_a_strategy_wants_a_whole_pair_or_none_and_files_that_exist(script, echoing):
    half = strategy(script, echoing, CFG="my.cfg")
    assert (half.returncode, half.stderr) == (2, "error: give all of CFG=, WEIGHTS= and DATA=, or none of them\n")
    gone = strategy(script, echoing, **{**PAIR, "WEIGHTS": "gone.weights"})
    assert (gone.returncode, gone.stderr) == (2, "error: WEIGHTS=gone.weights does not exist\n")
    assert "ASKED" not in half.stdout + gone.stdout


@pytest.mark.parametrize("script", STRATEGIES)
def test_a_strategy_explains_itself_and_trains_nothing(script, echoing):
    done = strategy(script, echoing, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"bash scripts/{script} " in done.stdout
    assert "ROUND=" in done.stdout or "SHORTCUTS=" in done.stdout
    assert "ASKED" not in done.stdout


@pytest.mark.parametrize(("words", "told"), [
    (["--foldd", "beta"], "error: unrecognized arguments: --foldd beta (see slim_prune.py --help)\n"),
    (["--round", "many"], "error: argument --round: 'many' is not a whole number"),
])
def test_a_flag_that_the_command_does_not_know_is_told_before_the_training(echoing, words, told):
    python = echoing / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *train.py*) echo TRAINED;; *) exec "{sys.executable}" "$@";; esac\n')
    done = strategy("slim_prune.sh", echoing, *words, **PAIR, OUT="mine")
    assert (done.returncode, "TRAINED" in done.stdout) == (2, False)
    assert done.stderr.startswith(told)
    assert {path.name for path in echoing.iterdir()} == {"venv", *PAIR.values()}


def test_a_strategy_does_not_empty_the_folder_of_its_own_inputs(echoing):
    """Two rounds of one strategy: the second's input is the first's output."""
    tuned = echoing / "out" / "tuned"
    tuned.mkdir(parents=True)
    (tuned / "last.weights").write_text("hours of training")
    done = strategy("slim_prune.sh", echoing, **{**PAIR, "WEIGHTS": "out/tuned/last.weights"}, OUT="out")
    assert done.returncode == 2
    assert "out/tuned/last.weights lies in" in done.stderr
    assert "OUT=" in done.stderr
    assert (tuned / "last.weights").read_text() == "hours of training"
    assert strategy("slim_prune.sh", echoing, **{**PAIR, "WEIGHTS": "out/tuned/last.weights"}, OUT="other").returncode == 0


@pytest.mark.slow
def test_a_strategy_leads_from_nothing_to_a_verified_pair(tmp_path):
    if not (Path(sys.prefix) / ".installed-requirements-dev.txt").is_file():
        pytest.skip("these tests do not run in the environment that scripts/test.sh makes")
    done = strategy("layer_channel_prune.sh", tmp_path, VENV=sys.prefix, IMAGES="20", SIZE="96", EPOCHS="2", TUNE_EPOCHS="1",
                    OUT=str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("verified against OpenCV") == 2
    assert len(list((tmp_path / "out" / "pruned").glob("*.html"))) == 1
