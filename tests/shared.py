"""Where the recorded truths lie: real weights, Darknet's own outputs, labelled images. They are not part of the project."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

SHARED = Path(os.environ.get("BONSAI_SHARED", Path(__file__).resolve().parents[2] / "shared"))

needs_shared = pytest.mark.skipif(
    not (SHARED / "darknet" / "gen.py").is_file(),
    reason="the folder of recorded references (../shared, or BONSAI_SHARED) is not on this machine",
)


def recorded_tool(name: str) -> ModuleType:
    """The module `gen` (makes the recorded cases' weights and inputs again) or `compare` that lies beside the records."""
    folder = str(SHARED / "darknet")
    if folder not in sys.path:
        sys.path.append(folder)  # compare imports gen
    return importlib.import_module(name)
