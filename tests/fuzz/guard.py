"""What a reader must not do, whatever it reads: crash, hang, fill the memory, or write."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from utils.errors import BonsaiError


@dataclass(frozen=True)
class Limits:
    """seconds: of computing. bytes: by which the process may grow."""

    seconds: float = 5
    bytes: int = 512 * 2**20


class TooSlow(BaseException):
    """Not an Exception, so that no reader can take it for a damaged file."""


def verdict(attempt: Callable[[], object], folder: Path | None, limits: Limits) -> str | None:
    """What is wrong with the way in which `attempt` ended; None if it succeeded or refused with a BonsaiError.

    A warning that would reach the user as a line of Python counts as wrong, too. folder: where nothing may change.
    """
    before = contents(folder) if folder else {}
    try:
        with memory_limit(limits.bytes), time_limit(limits.seconds), warnings.catch_warnings():
            warnings.simplefilter("error")
            attempt()
    except BonsaiError:
        pass
    except TooSlow:
        return f"takes longer than {limits.seconds:g} s"
    except (Exception, SystemExit):
        return traceback.format_exc(limit=-8).rstrip()
    after = contents(folder) if folder else {}
    changed = sorted(name for name in after.keys() | before.keys() if after.get(name) != before.get(name))
    return f"writes {', '.join(changed)}" if changed else None


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file below a folder."""
    found: dict[str, tuple[int, int]] = {}
    waiting = [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    found[entry.path] = (0, 0)
                else:
                    status = entry.stat(follow_symlinks=False)
                    found[entry.path] = (status.st_size, status.st_mtime_ns)
    return found


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the body after so many seconds of computing, or twelve times as many of waiting.

    A timer that runs already (pytest-timeout's) goes on afterwards.
    """
    def ring(number: int, frame: FrameType | None) -> None:
        raise TooSlow

    start = time.monotonic()
    timers = ((signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, 12 * seconds))
    before = [(timer, number, signal.signal(number, ring), signal.setitimer(timer, limit)[0]) for timer, number, limit in timers]
    try:
        yield
    finally:
        for timer, number, handler, left in before:
            signal.setitimer(timer, max(left - (time.monotonic() - start), 1e-3) if left else 0)
            signal.signal(number, handler)


@contextlib.contextmanager
def memory_limit(headroom: int) -> Iterator[None]:
    """Let the process grow by so many bytes and no more; where /proc tells no size (macOS), without a limit."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + headroom, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class _Formats(logging.Handler):
    """Puts every message together, as a command would, and drops it."""

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()


@contextlib.contextmanager
def quiet_logging() -> Iterator[None]:
    """The library's log records are formatted, so that a wrong one shows, and go nowhere."""
    logger, handler = logging.getLogger("utils"), _Formats()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
