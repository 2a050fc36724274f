"""The version of this checkout, read from pyproject.toml: it runs from where it lies and is not installed."""

from __future__ import annotations

import re
from pathlib import Path


def version() -> str:
    """`Bonsai 0.1.0`; without the number where pyproject.toml did not come along."""
    try:
        text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return "Bonsai"
    found = re.search(r'^version\s*=\s*"([^"]+)"', text, re.MULTILINE)
    return f"Bonsai {found[1]}" if found else "Bonsai"
