"""What all tests share: how Hypothesis searches, how many threads torch takes, what the environment may say."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Two profiles: `ci` finds the same examples on every machine and knows no deadline (two cores may be busy);
# `search` (HYPOTHESIS_PROFILE=search) draws new ones each time, and more of them.
settings.register_profile("ci", deadline=None, derandomize=True, database=None,
                          suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread_per_worker() -> None:
    """Several workers on few cores: torch's and OpenCV's own threads would only fight each other."""
    try:
        import cv2
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@pytest.fixture(autouse=True)
def _plain_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands print must not depend on the terminal that runs the tests."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
