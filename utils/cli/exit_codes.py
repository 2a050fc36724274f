"""What the exit code of a command means: the numbers, and the words for them that every --help ends with."""

from __future__ import annotations

DONE = 0
BUG = 1
BAD_INPUT = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count
BROKEN_PIPE = 141  # 128 + SIGPIPE


def exit_codes(*, done: str = "done", bug: str = "a bug of Bonsai's, with its traceback",
               bad_input: str = "the command line or a file makes no sense") -> str:
    """The table of exit codes, for the end of a command's --help.

    Args:
        done, bug, bad_input: what 0, 1 and 2 mean, for a command where they mean more.
    """
    return f"""\
exit codes:
  {DONE:<4} {done}
  {BUG:<4} {bug}
  {BAD_INPUT:<4} {bad_input}: one line on stderr says where, what, and what to do
  {INTERRUPTED:<4} interrupted (Ctrl-C)
  {BROKEN_PIPE:<4} whatever read the output went away, as in `... | head`
"""
