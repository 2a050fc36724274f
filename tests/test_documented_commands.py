"""Every command line of ours that the README and the pages in docs/ print is one that its command takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.commands import COMMANDS, parser_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md"), ROOT / "CONTRIBUTING.md"])


def printed(page: Path) -> list[tuple[int, str]]:
    """(line, command line) of a page: in code blocks and in `code`, continued lines joined, comments cut off."""
    text = re.sub(r" *\\\n *", lambda found: " " + "\0" * found[0].count("\n"), page.read_text(encoding="utf-8"))
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        number += text[:text.find(line)].count("\0")
        for words in re.findall(r"`(python [^`]+)`", line) or re.findall(r"^ {4}(python .+)$", line):
            lines.append((number, re.split(r"\s+# |   ", words.replace("\0", ""))[0]))
    return lines


def cases() -> list[tuple[str, str]]:
    """(where, command line) of each that names a command and leaves nothing out."""
    return [(f"{page.relative_to(ROOT)}:{line}", words) for page in PAGES if page.exists() for line, words in printed(page)
            if words.split()[1] in COMMANDS and "..." not in words and "$" not in words]


def test_there_are_many():
    assert len(cases()) > 20
    assert {words.split()[1] for _, words in cases()} >= {"train.py", "compress.py", "slim_prune.py", "test.py", "doctor.py"}


@pytest.mark.parametrize(("where", "words"), cases(), ids=[where for where, _ in cases()])
def test_a_documented_command_line_is_taken(where, words, capsys):
    _, name, *flags = shlex.split(words)
    known = parser_of(name)
    try:
        known.parse_args(flags)
    except SystemExit:
        pytest.fail(f"{where}: {words}: {capsys.readouterr().err.strip()}")


@pytest.mark.parametrize("pattern", [
    r"`((?:python |weights/|data/|bash |benchmarks/)[^`]+)`",  # commands
    r"--[a-z_][a-z_-]*",                                       # flags
    r"\]\(([^)]+)\)",                                          # links
    r"^ {4}(\S.*?) *(?:#.*)?$",                                # lines of code, without what is said of them
    r"\d+\.\d+",                                               # numbers
], ids=["commands", "flags", "links", "code", "numbers"])
def test_both_readmes_say_the_same(pattern):
    english, chinese = (set(re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
                        for name in ("README.md", "README.zh.md"))
    assert english == chinese
