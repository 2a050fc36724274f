"""Measuring time: what counts, and what does not."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.deploy.pairs import pair
from utils.deploy import measure, open_engine, random_images

X = np.zeros((1, 3, 32, 64), np.float32)


def test_the_warm_up_does_not_count():
    calls = []

    def run(x):
        time.sleep(0.2 if len(calls) < 2 else 0.005)
        calls.append(x.shape)

    found = measure(run, X, warmup=2, repeats=5, threads=4)
    assert len(calls) == 7
    assert 5 <= found.median_ms < 100
    assert (found.threads, found.repeats, found.warmup) == (4, 5, 2)


def test_the_slow_tail_is_above_the_median():
    delays = iter([0.002] * 18 + [0.05] * 2)
    found = measure(lambda x: time.sleep(next(delays)), X, warmup=0, repeats=20)
    assert found.p95_ms > 10 * found.median_ms / 3


def test_an_engine_is_measured_with_the_threads_it_was_opened_with(tmp_path):
    engine = open_engine("torch", *pair(tmp_path), threads=1)
    found = measure(engine, random_images(1, 3, 32, 64), warmup=1, repeats=3)
    assert found.threads == 1
    assert 0 < found.median_ms <= found.p95_ms
    assert "1 threads, 3 runs" in str(found)


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"warmup": -1}])
def test_nothing_to_measure_is_an_error(wrong):
    with pytest.raises(ValueError, match="give at least"):
        measure(lambda x: x, X, **wrong)
