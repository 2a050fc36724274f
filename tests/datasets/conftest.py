"""Commands of data/ as tests run them: loaded by file name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def command() -> Callable[[str], Callable[..., int]]:
    """`command("draw_demo")` is the main function of data/draw_demo.py."""

    def load(name: str) -> Callable[..., int]:
        spec = importlib.util.spec_from_file_location(f"command_{name}", ROOT / "data" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main

    return load
