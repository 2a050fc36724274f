"""What happens around the body of every command: arguments, logging, and the exit code (`exit_codes.py`).

An exception that is no `BonsaiError`, and not the machine's fault, is our bug and keeps its traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from utils.cli.completion import complete_for_the_shell
from utils.cli.device import tame_openmp
from utils.cli.exit_codes import BAD_INPUT, BROKEN_PIPE, DONE, INTERRUPTED
from utils.errors import BonsaiError

_THE_MACHINE_SAYS_NO = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.ENAMETOOLONG: "the file name is too long; rename the inputs to something shorter",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
    errno.EPERM: "permission denied; choose another folder or change its permissions",
}
_OURS = ("utils", "models")  # modules whose absence is a bug, and not a package to install


def run_command(
    body: Callable[[argparse.Namespace], int | None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    *,
    interrupted: str = "nothing was written",
) -> int:
    """Parse `argv`, run `body(args)`, and turn what goes wrong into one line on stderr and an exit code.

    Args:
        body: the command; None counts as 0.
        parser: a `CommandParser`, so that its errors are one line too.
        argv: the words after the command's name; None takes those of the process.
        interrupted: what Ctrl-C leaves behind, said after "interrupted; ".

    Returns:
        The exit code, see `exit_codes.py`. `--help` and `--version` return 0. Never raises SystemExit.
    """
    complete_for_the_shell(parser)
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE
    tame_openmp()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")  # a table, or a file's name, that this encoding has no letters for
    verbosity = -1 if getattr(args, "quiet", False) else int(getattr(args, "verbose", 0) or 0)
    with logging_to_stderr(verbosity):
        return _guarded(body, args, interrupted)


def _guarded(body: Callable[[argparse.Namespace], int | None], args: argparse.Namespace, interrupted: str) -> int:
    try:
        code = body(args) or DONE
        sys.stdout.flush()
    except BonsaiError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package in _OURS:
            raise
        return _fail(f"the package {package} is not installed for {sys.executable}; run the python of .venv, which "
                     "scripts/quickstart.sh makes, or: pip install -r requirements.txt")
    except KeyboardInterrupt:
        _say(f"interrupted; {interrupted}")
        return INTERRUPTED
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # or the interpreter complains when it flushes at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        reason = _THE_MACHINE_SAYS_NO.get(error.errno or 0)
        if reason is None:
            raise
        return _fail(f"{error.filename}: {reason}" if error.filename else reason)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "out of memory" not in str(error):
            raise
        return _fail("out of memory; lower --batch-size or --img_size")
    return code


@contextlib.contextmanager
def logging_to_stderr(verbosity: int = 0) -> Iterator[None]:
    """Send the library's log records to stderr while a command runs, and leave `logging` as it was afterwards.

    Args:
        verbosity: -1 errors only, 0 what a user should know (INFO), 1 and more everything (DEBUG).
    """
    level = logging.ERROR if verbosity < 0 else logging.INFO if verbosity == 0 else logging.DEBUG
    logger = logging.getLogger("utils")
    handler = _OneLine()
    before, propagated = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagated


class _OneLine(logging.Handler):
    """`message`, or `warning: message`; above a progress bar where one is drawn."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        _say(text)


def _fail(message: str) -> int:
    _say("error: " + " ".join(message.split()))
    return BAD_INPUT


def _say(text: str) -> None:
    tqdm = sys.modules.get("tqdm")  # without it there is no bar that would have to be lifted out of the way
    with tqdm.tqdm.external_write_mode(file=sys.stderr) if tqdm else contextlib.nullcontext():
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
