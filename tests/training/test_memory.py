"""A batch that cannot fit is refused before the machine starts to swap."""

from __future__ import annotations

import math
import re
import sys

import pytest
import torch

from utils.darknet import parse_network
from utils.darknet.builder import build_cfg
from utils.errors import OptionError
from utils.training.memory import check_batch_fits, free_bytes, peak_memory_mb, step_bytes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network():
    return parse_network(build_cfg("yolov3", classes=3))


def test_the_estimate_grows_with_batch_and_size(network):
    one = step_bytes(network, 1) - step_bytes(network, 0)
    assert step_bytes(network, 9) == pytest.approx(step_bytes(network, 0) + 9 * one)
    double = network.resized(2 * network.net.height, 2 * network.net.width)
    assert step_bytes(double, 9) - step_bytes(double, 0) == pytest.approx(4 * 9 * one, rel=1e-6)


def test_a_batch_that_fits_passes_and_a_larger_one_is_refused_with_what_would_fit(network):
    free = 6_000_000_000
    with pytest.raises(OptionError, match=r"need about .* GB, 6\.0 GB are free") as refused:
        check_batch_fits(network, 512, CPU, free)
    size, accumulate = map(int, re.search(r"--batch-size (\d+) --accumulate (\d+)", str(refused.value)).groups())
    check_batch_fits(network, size, CPU, free)
    assert size * accumulate >= 512
    with pytest.raises(OptionError):
        check_batch_fits(network, 2 * size, CPU, free)


def test_where_not_even_one_image_fits_the_network_is_too_large(network):
    with pytest.raises(OptionError, match="lower --img_size"):
        check_batch_fits(network, 1, CPU, 1_000_000)


def test_a_system_that_does_not_tell_the_memory_of_a_process_is_no_reason_to_stop(monkeypatch):
    """Windows has no module `resource`."""
    monkeypatch.setitem(sys.modules, "resource", None)
    assert math.isnan(peak_memory_mb(CPU))


def test_this_machine_tells_its_memory():
    assert (free_bytes(CPU) or 1e9) > 1e6
    assert peak_memory_mb(CPU) > 50  # torch alone takes more
