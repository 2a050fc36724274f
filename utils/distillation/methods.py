"""The methods by name: what `--distill` takes, and what each compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

MethodName = Literal["hinton", "detection", "l1", "l2", "ast", "mimic", "mgd", "cwd"]
Compared = Literal["heads", "maps"]

METHODS: Mapping[MethodName, Compared] = {
    "hinton": "heads", "detection": "heads", "l1": "heads", "l2": "heads", "ast": "heads",
    "mimic": "maps", "mgd": "maps", "cwd": "maps",
}
