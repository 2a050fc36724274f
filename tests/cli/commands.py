"""All commands of the checkout, and the parser of each, found by looking rather than by a list."""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = tuple(sorted(path.relative_to(ROOT).as_posix() for folder in (ROOT, ROOT / "data")
                        for path in folder.glob("*.py") if path.name != "models.py"))


def loaded(name: str) -> ModuleType:
    """The script as a module; by file name, because `test` is also a package of the standard library."""
    spec = importlib.util.spec_from_file_location(f"command_{Path(name).stem}", ROOT / name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser that a command hands to `run_command`."""
    module = loaded(name)
    handed = []
    module.run_command = lambda body, parser, argv=None, **more: handed.append(parser)
    module.main([])
    return handed[0]


def examples_of(name: str, text: str) -> list[list[str]]:
    """The words behind `python NAME` in each example of a help text, without what three spaces set apart from them.

    Lines that a backslash continues are one.
    """
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [line.strip().split("   ")[0].split()[2:] for line in lines if line.strip().startswith(f"python {name}")]
