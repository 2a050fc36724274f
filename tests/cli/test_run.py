"""Exit codes and the one line on stderr, whatever goes wrong inside a command."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils.cli import CommandParser, common_arguments, run_command
from utils.errors import CfgError, SourceLine

ROOT = Path(__file__).resolve().parents[2]


def run(body, *words: str, **more) -> int:
    return run_command(body, CommandParser(prog="command.py", parents=[common_arguments()]), list(words), **more)


def raises(error: BaseException):
    def body(args):
        raise error
    return body


def test_a_command_that_returns_nothing_succeeded():
    assert run(lambda args: None) == 0
    assert run(lambda args: 3) == 3


def test_an_error_of_ours_is_one_line_and_code_2(capsys):
    error = CfgError(SourceLine("a.cfg", 7), "[shortcut] adds layer 3\nto itself", "name another layer")
    assert run(raises(error)) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: a.cfg:7: [shortcut] adds layer 3 to itself; name another layer\n"
    assert captured.out == ""


def test_wrong_arguments_are_code_2_and_help_is_code_0(capsys):
    assert run(lambda args: 0, "--nonsense") == 2
    assert capsys.readouterr().err == "error: unrecognized arguments: --nonsense (see command.py --help)\n"
    assert run(lambda args: 0, "--help") == 0


def test_ctrl_c_says_what_it_leaves_behind(capsys):
    assert run(raises(KeyboardInterrupt())) == 130
    assert run(raises(KeyboardInterrupt()), interrupted="the pictures so far are in output") == 130
    assert capsys.readouterr().err == "interrupted; nothing was written\ninterrupted; the pictures so far are in output\n"


@pytest.mark.parametrize(("number", "part"), [
    (errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EACCES, "permission"),
])
def test_a_machine_that_says_no_is_one_line(capsys, number, part):
    assert run(raises(OSError(number, "no", "out/a.weights"))) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: out/a.weights: ")
    assert part in message


def test_too_little_memory_says_what_to_lower(capsys):
    assert run(raises(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))) == 2
    assert run(raises(MemoryError())) == 2
    assert capsys.readouterr().err.count("lower --batch-size or --img_size") == 2


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), RuntimeError("bug"), FileNotFoundError(errno.ENOENT, "x"),
                                   KeyError("bug")])
def test_any_other_exception_is_our_bug_and_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run(raises(error))


def test_a_package_that_is_not_installed_is_one_line_and_a_module_of_ours_that_is_missing_a_bug(capsys):
    assert run(raises(ModuleNotFoundError("No module named 'numpy.core'", name="numpy.core"))) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: the package numpy is not installed for {sys.executable}; ")
    assert message.endswith("pip install -r requirements.txt\n")
    with pytest.raises(ModuleNotFoundError):
        run(raises(ModuleNotFoundError("No module named 'utils.gone'", name="utils.gone")))


@pytest.mark.parametrize("words", ["test.py --cfg a --weights b --data c", "make_cfg.py --list", "train.py",
                                   "data/convert_voc.py a --out b", "data/convert_coco.py --train a b --out c"])
def test_a_command_in_a_python_without_packages_says_what_to_do(words, tmp_path):
    """-S leaves site-packages out, as the system's python does that a newcomer types."""
    done = subprocess.run([sys.executable, "-S", *(str(ROOT / word) if word.endswith(".py") else word for word in words.split())],
                          cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(("error: the package numpy is not installed", "error: the package torch is not installed"))


def test_remarks_of_the_library_go_to_stderr_and_quiet_silences_them(capsys):
    def body(args):
        logging.getLogger("utils.darknet.weights").info("holds layers 0 to 73")
        logging.getLogger("utils.darknet.weights").warning("near-zero variances")
        logging.getLogger("utils.darknet.weights").debug("for maintainers")

    assert run(body) == 0
    assert capsys.readouterr().err == "holds layers 0 to 73\nwarning: near-zero variances\n"
    assert run(body, "-q") == 0
    assert capsys.readouterr().err == ""
    assert run(body, "-v") == 0
    assert capsys.readouterr().err.endswith("for maintainers\n")


def test_logging_is_left_as_it_was():
    logger = logging.getLogger("utils")
    before = (logger.level, list(logger.handlers), logger.propagate)
    run(raises(KeyboardInterrupt()))
    assert (logger.level, list(logger.handlers), logger.propagate) == before


def test_a_reader_that_goes_away_ends_the_command_without_complaint():
    """`command | head -1`, for real: neither a traceback nor Python's own complaint at exit."""
    script = ("from utils.cli import *\n"
              "def body(args):\n"
              "    for i in range(100000):\n"
              "        print('line', i)\n"
              "raise SystemExit(run_command(body, CommandParser(), []))\n")
    done = subprocess.run(["bash", "-c", f'"{sys.executable}" -c "$0" | head -1; echo ${{PIPESTATUS[0]}}', script],
                          cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["line", "0", "141"]
    assert done.stderr == ""


def test_what_the_terminal_has_no_letters_for_does_not_stop_a_command():
    code = ("from utils.cli import CommandParser, common_arguments, run_command\n"
            "parser = CommandParser(parents=[common_arguments()])\n"
            "raise SystemExit(run_command(lambda args: print('\\u2500 mAP \\udcff'), parser, []))")
    for encoding in ("ascii", "utf-8"):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True,
                              env={**os.environ, "PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stderr) == (0, b"")
        assert b" mAP ?" in done.stdout
