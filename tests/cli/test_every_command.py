"""What all commands have in common: examples that parse, exit codes, -v, -q, --version, and one word for one thing."""

from __future__ import annotations

import argparse
import ast
import io
import os
import re
import subprocess
import sys
from collections import defaultdict
from functools import lru_cache

import pytest

import utils.cli.progress as progress
from tests.cli.commands import COMMANDS, ROOT, examples_of, parser_of

# One flag, another meaning: each with its reason. Everything else must say the same wherever it occurs.
OTHER_MEANING = {
    "--batch": "images per iteration of a training in Darknet (make_cfg.py); those that an ONNX file takes (export.py)",
    "--classes": "how many a network tells apart; which shapes to draw",
    "--engine": "one that computes; several that are compared (verify.py)",
    "--images": "what a network is shown; what becomes of those converted; how many to draw",
    "--out": "a folder; one file (export.py)",
    "--output": "a folder of pictures; one cfg",
    "--save-json": "detections go first where there are any (test.py)",
    "--train": "each source of annotations names its parts in its own way",
    "--valid": "each source of annotations names its parts in its own way",
    "--weights": "those of the cfg; those to start from (train.py)",
}

parser = lru_cache(maxsize=None)(parser_of)


def first_words(text: str) -> str:
    """A help text up to what may be added for one command."""
    return re.split(r"[;:,]| \(default| \(needs", text.replace("%%", "%"))[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_that_this_very_parser_takes(name):
    examples = examples_of(name, parser(name).format_help())
    assert examples, f"no line `python {name} ...`"
    for words in examples:
        parser(name).parse_args([word.strip("'") for word in words if word != "..."])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_the_exit_codes(name):
    codes = parser(name).format_help().partition("\nexit codes:\n")[2]
    assert re.findall(r"^  (\d+) ", codes, re.MULTILINE) == ["0", "1", "2", "130", "141"]


@pytest.mark.parametrize("name", COMMANDS)
def test_version_is_that_of_the_project(name, capsys):
    with pytest.raises(SystemExit) as stop:
        parser(name).parse_args(["--version"])
    number = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert (stop.value.code, capsys.readouterr().out) == (0, f"Bonsai {number}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_a_help_text_and_can_be_told_to_say_more_or_less(name):
    flags = {flag: action for action in parser(name)._actions for flag in action.option_strings}
    assert {"-v", "--verbose", "-q", "--quiet", "-h", "--help"} <= set(flags)
    mute = [flag for flag, action in flags.items() if not action.help]
    assert not mute, f"these say nothing in --help: {mute}"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_what_every_command_has_in_one_place(name):
    """Those that have no group of their own; a group's nested ones fall out of it when a parser is a parent."""
    options = parser(name).format_help().partition("\noptions:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  (-\w|--version)\b", options, re.MULTILINE)[:4] == ["-h", "-v", "-q", "--version"]


def test_the_same_flag_has_the_same_words_everywhere():
    said = defaultdict(lambda: defaultdict(list))
    for name in COMMANDS:
        for action in parser(name)._actions:
            for flag in action.option_strings:
                if action.help != argparse.SUPPRESS:
                    said[flag.replace("_", "-")][action.metavar, first_words(action.help)].append(name)
    differing = {flag: dict(words) for flag, words in said.items() if len(words) > 1}
    assert set(differing) == set(OTHER_MEANING), differing


@pytest.mark.parametrize("name", COMMANDS)
def test_the_shell_may_complete_every_command(name):
    """argcomplete looks for this word in the first 1024 bytes before it runs a script at the Tab key."""
    assert b"PYTHON_ARGCOMPLETE_OK" in (ROOT / name).read_bytes()[:1024]


@pytest.mark.parametrize(("line", "expected"), [
    ("test.py --conf-t", "--conf-thres"), ("test.py --img_", "--img_size"), ("test.py --engine onn", "onnxruntime"),
])
def test_the_tab_key_completes_flags_and_choices(line, expected, tmp_path):
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    subprocess.run([sys.executable, "test.py"], cwd=ROOT, check=True, env={
        **os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line, "COMP_POINT": str(len(line))})
    assert answer.read_text().strip() == expected


# -- bars and colours --------------------------------------------------------------------------------------------------

def test_one_file_draws_bars_and_two_take_colours():
    """So that what their own tests find of them (no bar without a terminal, NO_COLOR) holds for every command."""
    bars, colours = set(), {"utils/cli/progress.py"}
    for path in [*(ROOT / "utils").rglob("*.py"), *(ROOT / name for name in COMMANDS)]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = path.relative_to(ROOT).as_posix()
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("tqdm", "trange", "tqdm.tqdm"):
                bars.add(name)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\x1b[" in node.value:
                colours.add(name)
    assert bars == {"utils/cli/progress.py"}
    assert colours == {"utils/cli/progress.py", "utils/cli/doctor/showing.py"}


def test_no_bar_and_no_escape_code_where_nobody_looks(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "SECONDS_PER_LINE", 0.0)
    monkeypatch.delenv("NO_COLOR")
    stream = io.StringIO()  # as a file or a pipe, it is no terminal
    with progress.progress_bar("evaluating", 4, stream=stream) as advance:
        for _ in range(4):
            advance(1)
    assert stream.getvalue().splitlines()[-1] == "evaluating: 4 of 4 images, 100 %"
    assert not set("\r\x1b█") & set(stream.getvalue())
