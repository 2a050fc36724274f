"""Parts of the names that pruning commands give to new files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def round_part(parameters: Mapping[str, Any]) -> str:
    """`round_8_` where a multiple was asked for; the ancestor's names have nothing there."""
    multiple = parameters.get("round_to")
    return f"round_{multiple}_" if multiple not in (None, 1) else ""
