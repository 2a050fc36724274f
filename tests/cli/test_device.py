"""From a word to a device, with a clear answer where there is none."""

from __future__ import annotations

import pytest
import torch

from utils.cli import select_device
from utils.errors import OptionError


def test_cpu_is_always_there():
    assert select_device("cpu") == torch.device("cpu")
    assert select_device("CPU ") == torch.device("cpu")


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select_device("auto") == torch.device("cpu")
    assert select_device("") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert select_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("word", ["cuda", "cuda:0", "0"])
def test_an_absent_gpu_is_an_error_that_says_what_to_do(monkeypatch, word):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OptionError, match=r"--device: .* is not available: .*; write --device cpu"):
        select_device(word)


def test_a_gpu_beyond_the_last_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert select_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(OptionError, match="there is no cuda:3: this machine has 1 GPU"):
        select_device("3")


@pytest.mark.parametrize("word", ["gpu", "cuda:", "cuda:x", "cuda0", "tpu:0"])
def test_a_word_that_means_no_device_is_an_error(word):
    with pytest.raises(OptionError, match="is no device that we know"):
        select_device(word)
