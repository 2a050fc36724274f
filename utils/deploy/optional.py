"""Packages that only some engines need: imported when they are used, with the install line in the error."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from utils.errors import EngineError


def optional_module(name: str, requirement: str) -> ModuleType:
    """Import `name`, or say how to get it.

    Args:
        name: the module, "onnx".
        requirement: what pip installs, "onnx" or "opencv-python-headless<5".

    Raises:
        EngineError: it is not installed, or it is and does not load (a missing system library).
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EngineError(name, f"cannot be imported ({error})", f'pip install "{requirement}"') from error


def is_installed(name: str) -> bool:
    """Whether a module can be found, without importing it."""
    return importlib.util.find_spec(name) is not None
