"""--target: every form of it, several at once, and words that cannot be meant."""

from __future__ import annotations

import pytest

import compress
from utils.cli.compression.arguments import CRITERIA, compression_arguments
from utils.cli.compression.run import _label
from utils.cli.compression.targets import Target, target
from utils.pruning import orders


@pytest.mark.parametrize(("text", "wanted"), [
    ("4x", Target("params", 0.25, True)), ("0.25", Target("params", 0.25, True)), ("1.6X", Target("params", 0.625, True)),
    ("params:1M", Target("params", 1e6, False)), ("params:250k", Target("params", 250e3, False)),
    ("params:2x", Target("params", 0.5, True)), ("gflops:2.0", Target("gflops", 2, False)),
    ("gflops:4x", Target("gflops", 0.25, True)), ("size:5MB", Target("size", 5e6, False)),
    ("size:1MiB", Target("size", 2**20, False)), ("latency:30ms", Target("latency", 30, False)),
    ("latency:0.5s", Target("latency", 500, False)), ("latency:.5", Target("latency", 0.5, False)),
])
def test_all_forms(text, wanted):
    assert target(text) == wanted


@pytest.mark.parametrize(("text", "said"), [
    ("1x", "is not smaller"), ("0.5x", "is not smaller"), ("4", "neither a share below 1 nor a number of times"),
    ("1M", "neither a share below 1"), ("small", "has no amount"), ("", "has no amount"), ("-4x", "has no amount"),
    ("0", "has no amount"), ("nanx", "has no amount"), ("1e999x", "has no amount"), ("params:1e-320", "has no amount"),
    ("weight:4x", "names no quantity"), ("size:5MX", "'MX' is no unit of size (known: b, kb, kib, mb, mib)"),
    ("gflops:2G", "'G' is no unit of gflops (known: none)"), ("latency:30:ms", "names no quantity"),
])
def test_nonsense_ends_with_2_and_says_what_to_write(text, said, capsys):
    assert compress.main(["--cfg", "a.cfg", "--weights", "a.weights", f"--target={text}"]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_several_make_one_name():
    words = ["--cfg", "a.cfg", "--weights", "a.weights", "--target", "gflops:2.5x", "9x", "size:1MB", "--max-drop", "0.01"]
    assert _label(compression_arguments(None).parse_args(words)) == "gflops2.5x_9x_size1e+06_drop0.01"


def test_the_criteria_of_the_flag_are_those_that_there_are():
    assert CRITERIA == orders.CRITERIA
