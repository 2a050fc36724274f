"""Typed options of one section: Darknet's defaults and C's number syntax, with an error where Darknet would guess."""

from __future__ import annotations

import re
from collections.abc import Sequence

from utils.darknet.activations import ACTIVATIONS
from utils.darknet.document import Section
from utils.errors import CfgError, SourceLine

_INTEGER = re.compile(r"([+-]?\d+)(?:\.\d*)?(?=$|[#;])")
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?=$|[#;])")
LARGEST = 2**31 - 1  # Darknet counts with 32 bits
LARGEST_FLOAT = 3.4e38


class OptionReader:
    """Reads the options of `section`; every error names the file and the line of the option."""

    def __init__(self, section: Section, path: str) -> None:
        self.section, self._path = section, path

    @property
    def where(self) -> SourceLine:
        """The line of the section's header."""
        return SourceLine(self._path, self.section.line)

    def where_is(self, key: str) -> SourceLine:
        """The line of an option, or of the section's header when the option is not there."""
        option = self.section.by_key.get(key)
        return SourceLine(self._path, option.line if option else self.section.line)

    def error(self, problem: str, remedy: str, key: str | None = None) -> CfgError:
        """A CfgError at the line of `key` (or of the section)."""
        return CfgError(self.where_is(key) if key else self.where, f"[{self.section.name}] {problem}", remedy)

    def has(self, key: str) -> bool:
        """Whether the option is written."""
        return key in self.section.by_key

    def integer(self, key: str, default: int, least: int | None = None) -> int:
        """An int as C's atoi reads it (a fraction is cut off).

        CfgError where it reads none, one that does not fit in 32 bits, or less than `least`.
        """
        text = self.section.get(key)
        if text is None:
            return default
        match = _INTEGER.match(text)
        if match is None:
            raise self.error(f"{key}={text} is not a whole number", f"write for example {key}={default}", key)
        value = self._whole(match[1], key)
        if least is not None and value < least:
            raise self.error(f"{key}={value} is too small", f"give {least} or more", key)
        return value

    def flag(self, key: str) -> bool:
        """An option that is off (0, the default) or on."""
        return self.integer(key, 0) != 0

    def number(self, key: str, default: float) -> float:
        """A float as C's atof reads it; CfgError where it reads none."""
        text = self.section.get(key)
        if text is None:
            return default
        match = _NUMBER.match(text)
        if match is None:
            raise self.error(f"{key}={text} is not a number", f"write for example {key}={default}", key)
        return self._finite(match[1], key)

    def word(self, key: str, default: str, allowed: Sequence[str] = ()) -> str:
        """A word; CfgError if `allowed` is given and does not hold it."""
        text = self.section.get(key)
        if text is None:
            return default
        if allowed and text not in allowed:
            raise self.error(f"{key}={text} is unknown", f"use one of {', '.join(allowed)}", key)
        return text

    def activation(self, default: str) -> str:
        """The name of an activation. Darknet takes another one for a name that it does not know; we refuse."""
        name = self.word("activation", default)
        if name not in ACTIVATIONS:
            comment = " (Darknet allows no comment after this option)" if "#" in name or ";" in name else ""
            raise self.error(f"activation={name} is unknown{comment}", f"use one of {', '.join(sorted(ACTIVATIONS))}",
                             "activation")
        return name

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of ints separated by commas, () if the option is missing."""
        return tuple(self._whole(item, key) for item in self._items(key, _INTEGER, "whole numbers"))

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of floats separated by commas, () if the option is missing; a comma at the end is allowed."""
        return tuple(self._finite(item, key) for item in self._items(key, _NUMBER, "numbers", allow_trailing_comma=True))

    def _whole(self, digits: str, key: str) -> int:
        magnitude = digits.lstrip("+-").lstrip("0")
        if len(magnitude) > len(str(LARGEST)) or int(magnitude or 0) > LARGEST:
            shown = digits if len(digits) <= 20 else f"{digits[:17]}..."
            raise self.error(f"{key}={shown} does not fit in Darknet's 32 bits", f"give {LARGEST} or less", key)
        return -int(magnitude or 0) if digits.startswith("-") else int(magnitude or 0)

    def _finite(self, digits: str, key: str) -> float:
        value = float(digits)
        if abs(value) > LARGEST_FLOAT:
            raise self.error(f"{key} is too large for Darknet's floats", "give a smaller number", key)
        return value

    def _items(self, key: str, form: re.Pattern[str], what: str, allow_trailing_comma: bool = False) -> list[str]:
        text = self.section.get(key)
        if text is None:
            return []
        parts = re.split("[#;]", text)[0].split(",")
        if allow_trailing_comma and len(parts) > 1 and not parts[-1]:
            parts.pop()
        matches = [form.match(part) for part in parts]
        if not all(matches):
            raise self.error(f"{key}={text} is not a list of {what}", "separate them with single commas", key)
        return [match[1] for match in matches if match]
