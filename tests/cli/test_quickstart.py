"""The quickstart tells a story: in which order, with flags that the commands know, and never twice what is there."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STRATEGIES = ["prune", "shortcut_prune", "slim_prune", "layer_prune", "layer_channel_prune"]
ROWS = ["baseline", "compressed", "sparse", *STRATEGIES, "fine-tuned", "with-teacher"]
STEPS = ["shapes", *ROWS, "report"]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")

PYTHON = r"""#!/bin/sh
# notes what it is asked, and writes what the commands would: a pair, and what a training leaves
{ printf ASKED; printf '\t%s' "$@"; echo; } >> "$ASKED"
shift  # -u
command="$1" resumed=""
while [ $# -gt 0 ]; do
  case "$1" in
    --out) out="$2" ;;
    --report) [ "$command" != compare.py ] || out="$2" ;;
    --resume) out="${2%/*}"; resumed=yes ;;
    --epochs) epochs="$2" ;;
  esac
  shift
done
name="${out##*/}"
case "$command" in
  compare.py) echo "          mAP@0.5  verified"; echo "baseline   0.5000       yes"; echo "wrote $out"; touch "$out" ;;
  data/draw_demo.py) echo classes=1 > "$out/demo.data"; echo a.png > "$out/train.txt" ;;
  *) touch "$out/demo.cfg"; echo "$command $epochs" > "$out/last.weights"; echo "mAP@0.5   0.4321" ;;
esac
[ "$command" = train.py ] && touch "$out/last.pt"
if [ -n "$STOPS" ] && [ "$name" = "$STOPS" ] && [ -z "$resumed" ]; then echo "it stopped" >&2; exit "${CODE:-130}"; fi
exit 0
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with an environment whose python only notes what it was asked."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    needed = b"".join((ROOT / name).read_bytes() for name in ("requirements.txt", "requirements-dev.txt"))
    stamp = subprocess.run(["cksum"], input=needed, capture_output=True, check=True).stdout.decode().strip()
    (python.parent.parent / ".installed-requirements-dev.txt").write_text(stamp)
    return tmp_path


def clean_environment(folder: Path, **changes: str) -> dict[str, str]:
    set_by_users = ("CFG", "WEIGHTS", "DATA", "OUT", "PERCENT", "LAYER_KEEP", "BLOCKS", "ROUND", "TIMES", "IMAGES", "EPOCHS",
                    "TUNE_EPOCHS", "CALIBRATION", "STRENGTH", "ROUNDS", "SEED", "SIZE", "SPARSITY", "NO_COLOR")
    return {**{name: value for name, value in os.environ.items() if name not in set_by_users}, "VENV": "venv",
            "ASKED": str(folder / "asked"), "STOPS": "", "OUT": "out", "HOME": "/nonexistent", **changes}


def quickstart(folder: Path, *words: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """What it said, and the words of each command that it ran."""
    (folder / "asked").write_text("")
    done = subprocess.run(["bash", str(ROOT / "scripts" / "quickstart.sh"), *words], cwd=folder, capture_output=True, text=True,
                          env=clean_environment(folder, **environment), timeout=60)
    return done, [line.split("\t")[2:] for line in (folder / "asked").read_text().splitlines()]


def steps_of(asked: list[list[str]]) -> list[str]:
    """The folders that commands write into."""
    return [next(Path(words[i + 1]).name if words[i] == "--out" else Path(words[i + 1]).parent.name
                 for i in range(len(words)) if words[i] in ("--out", "--resume") or (words[i] == "--report" and
                                                                                      words[0] == "compare.py"))
            for words in asked]


def parser_of(main: Callable[..., int]) -> argparse.ArgumentParser:
    """Of a command's main function: commands make theirs by one of these."""
    known = main.__globals__
    make = next(known[name] for name in ("make_parser", "arguments", "training_parser", "compression_arguments") if name in known)
    return make(None) if inspect.signature(make).parameters else make()


def test_the_story_is_told_in_order_with_flags_that_the_commands_know(folder, command):
    done, asked = quickstart(folder, TUNE_EPOCHS="7")
    assert (done.returncode, done.stderr) == (0, "")
    assert steps_of(asked) == STEPS
    for script, *words in asked:
        parser_of(command(script)).parse_args(words)  # SystemExit where it does not know one
    compared = [word.partition("=")[0] for word in asked[-1] if word.endswith(".weights")]
    assert compared == ROWS
    tuned = asked[STEPS.index("fine-tuned")]
    assert tuned[tuned.index("--weights") + 1] == f"{folder}/out/slim_prune/last.weights"
    assert tuned[tuned.index("--epochs") + 1] == "7"
    taught = asked[STEPS.index("with-teacher")]
    assert taught[taught.index("--t_weights") + 1] == f"{folder}/out/sparse/last.weights"
    assert [word for word in taught if word.startswith("--t_")] == ["--t_cfg", "--t_weights"]
    assert [word for word in tuned if word.startswith("--t_")] == []
    lines = done.stdout.splitlines()
    opening = lines[:next(i for i, line in enumerate(lines) if line.startswith(" 1/"))]
    assert any(f"{folder}/out/report/report.html" in line for line in opening)
    assert any("about" in line and f"in {len(STEPS)} steps" in line for line in opening)
    assert [line.split("/")[0].strip() for line in lines if re.match(r" ?\d+/\d+  ", line)] == [
        str(number) for number in range(1, len(STEPS) + 1)]
    assert sum("about" in line for line in lines[len(opening):]) >= len(STEPS)
    table = lines.index("baseline   0.5000       yes")
    assert lines[table - 1] == "          mAP@0.5  verified"
    assert any("CFG=my.cfg WEIGHTS=my.weights DATA=my.data" in line for line in lines[table:]), "what users can do next"
    assert {path.name for path in folder.iterdir()} == {"venv", "asked", "out"}


def test_what_is_there_is_not_made_again(folder):
    first, _ = quickstart(folder)
    done, asked = quickstart(folder)
    assert (done.returncode, asked) == (0, [])
    assert done.stdout.count("skipped") == len(STEPS)
    ends = [one.stdout[one.stdout.index("          mAP@0.5"):] for one in (first, done)]
    assert ends[0] == ends[1], "the table and what follows are said again"


def test_other_settings_make_again_what_depends_on_them_and_no_more(folder):
    quickstart(folder)
    assert steps_of(quickstart(folder, TUNE_EPOCHS="2")[1]) == ["fine-tuned", "with-teacher", "report"]
    assert steps_of(quickstart(folder, TUNE_EPOCHS="2", BLOCKS="1")[1]) == ["layer_prune", "layer_channel_prune"]
    assert steps_of(quickstart(folder, TUNE_EPOCHS="2", BLOCKS="1", SEED="5")[1])[:2] == ["shapes", "baseline"]


def test_a_result_that_is_gone_or_changed_is_made_again(folder):
    quickstart(folder)
    (folder / "out" / "prune" / "last.weights").unlink()
    assert steps_of(quickstart(folder)[1]) == ["prune"], "the same came out, so that nothing behind it is out of date"
    (folder / "out" / "baseline" / "last.weights").write_text("another network")
    assert steps_of(quickstart(folder)[1]) == ["compressed", "sparse", "report"]
    (folder / "out" / "shapes" / "train.txt").write_text("b.png\n")
    assert "baseline" in steps_of(quickstart(folder)[1]), "other images"


def test_fresh_makes_everything_again_and_takes_nothing_else_away(folder):
    quickstart(folder)
    (folder / "out" / "mine.txt").write_text("a note")
    assert steps_of(quickstart(folder, "--fresh")[1]) == STEPS
    assert (folder / "out" / "mine.txt").read_text() == "a note"


def test_an_interrupted_training_goes_on(folder):
    done, asked = quickstart(folder, STOPS="sparse")
    assert done.returncode == 130
    assert "goes on from here" in done.stderr
    assert steps_of(asked)[-1] == "sparse"
    done, asked = quickstart(folder)
    assert done.returncode == 0
    assert asked[0] == ["train.py", "--resume", f"{folder}/out/sparse/last.pt"]
    assert steps_of(asked) == STEPS[STEPS.index("sparse"):]
    assert quickstart(folder)[1] == []


def test_an_interrupted_training_with_other_settings_begins_anew(folder):
    quickstart(folder, STOPS="sparse")
    _, asked = quickstart(folder, STRENGTH="0.5")
    assert (asked[0][0], "--resume" in asked[0]) == ("train.py", False)
    assert asked[0][asked[0].index("--s") + 1] == "0.5"


def test_a_step_that_fails_is_named_with_what_it_said_and_tried_again(folder):
    done, asked = quickstart(folder, STOPS="prune", CODE="2")
    assert (done.returncode, steps_of(asked)[-1]) == (2, "prune")
    assert "it stopped" in done.stderr
    assert f"error: step prune ended with exit code 2; all that it said is in {folder}/out/steps/prune.log" in done.stderr
    assert steps_of(quickstart(folder)[1]) == STEPS[STEPS.index("prune"):]


def test_quick_is_the_same_story_with_less_of_everything(folder):
    usual, quick = (quickstart(folder, *words, OUT=name)[1] for words, name in (((), "usual"), (("--quick",), "quick")))
    assert steps_of(quick) == steps_of(usual)
    images, epochs = ([int(words[words.index(flag) + 1]) for words in (usual[number], quick[number])]
                      for number, flag in ((0, "--images"), (1, "--epochs")))
    assert images[1] < images[0] / 2
    assert epochs[1] < epochs[0] / 2


@pytest.mark.parametrize(("words", "environment", "code", "said"), [
    (["--quik"], {}, 2, "error: --quik is no flag of this script; there are --quick, --fresh and --help\n"),
    ([], {"CFG": "asked"}, 2, "error: give all of CFG=, WEIGHTS= and DATA=, or none of them\n"),
    (["--help"], {}, 0, ""),
])
def test_what_makes_no_sense_is_said_before_anything_is_done(folder, words, environment, code, said):
    done, asked = quickstart(folder, *words, **environment)
    assert (done.returncode, done.stderr, asked) == (code, said, [])
    assert not (folder / "out").exists()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal_there_is_a_bar_and_bold_only_without_no_color(folder, no_color):
    python = folder / "venv" / "bin" / "python"
    python.write_text(PYTHON.replace("exit 0", '[ "$name" != shapes ] || sleep 1.8; exit 0'))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["bash", str(ROOT / "scripts" / "quickstart.sh")], cwd=folder, stdout=theirs, stderr=theirs,
                               env=clean_environment(folder, NO_COLOR=no_color, TERM="xterm"))
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    assert process.wait(10) == 0
    assert re.search(rb"\r +\[#+\.*\] \d s of about 2 s", said)
    assert (b"\x1b[1m" in said) == (not no_color)


def test_without_a_terminal_there_is_nothing_but_text(folder):
    done, _ = quickstart(folder)
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout


@pytest.mark.slow
def test_the_quickstart_ends_with_verified_pairs_and_a_report(tmp_path):
    if not (Path(sys.prefix) / ".installed-requirements-dev.txt").is_file():
        pytest.skip("these tests do not run in the environment that scripts/test.sh makes")
    done = subprocess.run(["bash", str(ROOT / "scripts" / "quickstart.sh"), "--quick"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=590, env=clean_environment(tmp_path, VENV=sys.prefix, IMAGES="20", EPOCHS="2",
                                                                        TUNE_EPOCHS="1"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "out" / "report" / "figures.json").read_text())
    assert list(figures) == ROWS
    assert {one["verified"] for one in figures.values()} == {"verified"}
    assert all(one["torch_ms"] > 0 and one["opencv_ms"] > 0 for one in figures.values())
    assert figures["slim_prune"]["parameters"] < figures["baseline"]["parameters"]
    shown = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" yes")]
    assert shown == ROWS
    page = (tmp_path / "out" / "report" / "report.html").read_text()
    assert all(f">{name}</th>" in page for name in ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
