"""Which `apex` is installed: NVIDIA's with mixed precision, NVIDIA's without, or a stranger of that name."""

from __future__ import annotations

import importlib.util
from importlib.machinery import PathFinder
from typing import Literal

Apex = Literal["none", "with amp", "without amp", "a stranger"]


def installed_apex() -> Apex:
    """What `import apex` would give, found without running any of it.

    "with amp": NVIDIA's of release 25.04 or older. "without amp": NVIDIA's of today. "a stranger": `pip install apex`
    gets a package for the Pyramid web framework.
    """
    spec = importlib.util.find_spec("apex")
    if spec is None:
        return "none"
    folders = list(spec.submodule_search_locations or ())

    def has(name: str) -> bool:
        return PathFinder.find_spec(f"apex.{name}", folders) is not None

    if has("amp"):
        return "with amp"
    return "without amp" if has("optimizers") or has("normalization") else "a stranger"
