"""What one check found: a mark, what was looked at, what is the matter, and the command that mends it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from utils.errors import BonsaiError

Mark = Literal["fine", "look", "wrong"]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's answer.

    mark: `fine`; `look`, which works and may not be what is wanted; `wrong`, which fails or misleads.
    subject: what was looked at, in a word or two. text: what was found.
    commands: shell lines, each of which mends it by itself, the best first; none where only a person can.
    """

    mark: Mark
    subject: str
    text: str
    commands: tuple[str, ...] = ()


def fine(subject: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding("fine", subject, text)


def look(subject: str, text: str, *commands: str) -> Finding:
    """Works; a person should know it."""
    return Finding("look", subject, text, commands)


def wrong(subject: str, text: str, *commands: str) -> Finding:
    """Fails, or gives numbers that mean nothing."""
    return Finding("wrong", subject, text, commands)


def attempted(subject: str, read: Callable[[], Value], found: list[Finding]) -> Value | None:
    """What `read` gives; where a file is unusable None, and a finding that says so."""
    try:
        return read()
    except BonsaiError as error:
        found.append(wrong(subject, one_line(error)))
        return None


def one_line(error: BonsaiError) -> str:
    """Its message without line ends."""
    return " ".join(str(error).split())


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """What the library logs as a warning in the block, instead of on stderr."""
    collector = _Collector(logging.WARNING)
    logger = logging.getLogger("utils")
    before, propagated = logger.handlers[:], logger.propagate
    logger.handlers[:], logger.propagate = [collector], False
    try:
        yield collector.said
    finally:
        logger.handlers[:], logger.propagate = before, propagated


class _Collector(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
