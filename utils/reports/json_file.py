"""Reports as JSON files, written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from utils.atomic import write_bytes


def write_json(path: str | Path, report: object) -> None:
    """Write a report as JSON (UTF-8, indented, keys in the order given).

    Dataclasses become objects, numpy arrays lists, paths strings. NaN and infinities, which JSON does not have,
    become null. A file name that is no UTF-8 comes back from `json.loads` as Python had it.

    Raises:
        OutputError: the file cannot be written; what stood there before is untouched.
        TypeError: something in the report has no JSON form.
    """
    text = json.dumps(plain(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))  # \udcff is JSON's own way to write what UTF-8 cannot


def plain(value: object) -> Any:
    """The same value in dicts, lists, strings and numbers only; NaN and infinities become None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return [plain(item) for item in sorted(value)]
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} has no JSON form: {value!r}")
