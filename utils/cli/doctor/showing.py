"""Findings as lines of a console."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from utils.cli.doctor.finding import Finding, Mark

_COLOURS: dict[Mark, str] = {"fine": "\033[32m", "look": "\033[33m", "wrong": "\033[31m"}
_PLAIN = "\033[0m"
_SUBJECT = 18  # characters; longer ones push their line to the right


def coloured(stream: TextIO) -> bool:
    """Whether marks get a colour: on a terminal, unless NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def finding_lines(finding: Finding, *, colour: bool = False) -> str:
    """`wrong  classes   what is the matter`, and below it the commands; the words carry it all, colours come on top."""
    mark = f"{finding.mark:<5}"
    if colour:
        mark = f"{_COLOURS[finding.mark]}{mark}{_PLAIN}"
    lines = [f"{mark}  {finding.subject:<{_SUBJECT}}  {finding.text}"]
    lines += [f"{'or' if number else 'mend':>5}:   {command}" for number, command in enumerate(finding.commands)]
    return "\n".join(lines)


def summary(findings: Sequence[Finding]) -> str:
    """`31 checks: 24 fine, 5 to look at, 2 wrong`."""
    counts = Counter(finding.mark for finding in findings)
    return f"{len(findings)} checks: {counts['fine']} fine, {counts['look']} to look at, {counts['wrong']} wrong"
