"""Flags in either spelling, sizes, shares, and what a wrong one says."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from utils.cli import (
    CommandParser,
    data_arguments,
    fraction,
    letterboxed,
    model_arguments,
    non_negative_int,
    positive_int,
    size,
)

NEEDED = ["--cfg", "a.cfg", "--weights", "a.weights", "--data", "a.data"]


def parser() -> CommandParser:
    made = CommandParser(prog="slim_prune.py", parents=[model_arguments(), data_arguments()])
    made.add_argument("--global_percent", type=fraction, default=0.8)
    made.add_argument("--out", type=Path)
    made.add_argument("--t_cfg", type=Path)
    return made


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args([*NEEDED, *words])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize("words", [
    ["--img_size", "320", "--batch-size", "4", "--global_percent", "0.5", "--t_cfg", "t.cfg"],
    ["--img-size", "320", "--batch_size", "4", "--global-percent", "0.5", "--t-cfg", "t.cfg"],
    ["--img-size=320", "--batch_size=4", "--global-percent=0.5", "--t-cfg=t.cfg"],
])
def test_every_flag_may_be_typed_with_hyphens_or_underscores(words):
    args = parser().parse_args([*NEEDED, *words])
    assert (args.img_size, args.batch_size, args.global_percent, args.t_cfg) == ((320, 320), 4, 0.5, Path("t.cfg"))


def test_a_value_that_looks_like_a_flag_keeps_its_spelling():
    assert parser().parse_args([*NEEDED, "--out=--img-size"]).out == Path("--img-size")


@pytest.mark.parametrize(("words", "expected"), [
    (["416"], (416, 416)), (["416,320"], (320, 416)), (["416x320"], (320, 416)), (["416", "320"], (320, 416)),
])
def test_a_size_is_one_number_or_width_and_height(words, expected):
    """Stored as (height, width), as arrays have it; typed width first, as a cfg has it."""
    assert parser().parse_args([*NEEDED, "--img_size", *words]).img_size == expected


def test_without_img_size_the_cfg_decides():
    assert parser().parse_args(NEEDED).img_size is None


@pytest.mark.parametrize(("words", "part"), [
    (["--img_size", "big"], "'big' is not a size; write 416, or 416,320 for 416 wide and 320 high"),
    (["--img_size", "0"], "0 is not a size between 1 and 16384"),
    (["--img_size", "1", "2", "3"], "are 3 numbers; write one or two"),
    (["--global_percent", "1.0"], "1.0 is not a share in [0, 1)"),
    (["--global_percent", "-0.1"], "-0.1 is not a share in [0, 1)"),
    (["--global_percent", "nan"], "nan is not a share in [0, 1)"),
    (["--global_percent", "80"], "80 is not a share in [0, 1); write 0.8 for 80 %"),
    (["--global_percent", "half"], "'half' is not a number; write 0.8 for 80 %"),
    (["--batch-size", "0"], "0 is too small; write 1 or more"),
    (["--batch-size", "two"], "'two' is not a whole number"),
    (["--letterbox", "maybe"], "invalid choice: 'maybe'"),
    (["--global_per", "0.5"], "unrecognized arguments: --global_per"),
    (["--verbose", "--quiet"], "not allowed with"),
])
def test_a_wrong_flag_is_one_line_that_says_what_to_write(capsys, words, part):
    assert part in refusal(capsys, *words)


def test_types_accept_their_borders():
    assert (fraction("0"), fraction("0.999"), positive_int("1"), non_negative_int("0"), size("16384")) == (
        0.0, 0.999, 1, 0, (16384, 16384))
    with pytest.raises(argparse.ArgumentTypeError, match="^-1 is too small; write 0 or more$"):
        non_negative_int("-1")
    with pytest.raises(argparse.ArgumentTypeError, match="^0 is too small; write 1 or more$"):
        positive_int("0")


def test_auto_letterbox_does_as_the_cfg_says():
    assert [letterboxed("auto", True), letterboxed("auto", False), letterboxed("yes", False), letterboxed("no", True)] == [
        True, False, True, False]


def test_a_bare_letterbox_flag_means_yes():
    assert parser().parse_args([*NEEDED, "--letterbox"]).letterbox == "yes"


def test_version_names_the_project(capsys):
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("Bonsai ")
