"""A .cfg file as text that survives reading and writing byte for byte.

What Darknet sees of a line (`strip` and `read_option` in its utils.c and option_list.c): all blanks, tabs and carriage
returns are removed; lines that start with `#` or `;` and empty lines do not exist; a line that starts with `[` opens a
section; the rest is split at the first `=`; of a repeated key the first one counts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from utils.errors import CfgError, SourceLine

_logger = logging.getLogger(__name__)

_BLANKS = str.maketrans("", "", " \t\r\n")
_BYTE_ORDER_MARK = "\xef\xbb\xbf"  # UTF-8's, seen through latin-1
_VALUE = re.compile(r"(?P<before>[ \t]*)(?P<value>[^#;\r\n]*?)(?P<after>[ \t]*(?:[#;][^\r\n]*)?\r*\n?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Option:
    """One `key=value` line, blanks removed as Darknet removes them; `line` counts from 1."""

    key: str
    value: str
    line: int


@dataclass(frozen=True)
class Section:
    """A `[name]` and the options below it, in file order; repeated keys are all there."""

    name: str
    line: int
    options: tuple[Option, ...] = ()

    @cached_property
    def by_key(self) -> Mapping[str, Option]:
        """The options that count: the first of each key."""
        first: dict[str, Option] = {}
        for option in self.options:
            first.setdefault(option.key, option)
        return first

    def get(self, key: str, default: str | None = None) -> str | None:
        """The value of `key` as text, or `default`."""
        option = self.by_key.get(key)
        return default if option is None else option.value


@dataclass(frozen=True)
class CfgDocument:
    """The lines of a .cfg, each with its own line end, and the sections that they make.

    Text is held as latin-1, so that any byte survives; `to_bytes` gives back exactly what was read.
    """

    lines: tuple[str, ...]
    path: str = "<cfg>"
    sections: tuple[Section, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, text: str | bytes, path: str = "<cfg>") -> CfgDocument:
        """Read a cfg's text.

        Raises:
            CfgError: an option stands before the first section.
        """
        decoded = text.decode("latin-1") if isinstance(text, bytes) else text.encode("utf-8").decode("latin-1")
        return cls._of_lines(re.findall(r"[^\n]*\n|[^\n]+", decoded), path)

    @classmethod
    def _of_lines(cls, lines: Iterable[str], path: str) -> CfgDocument:
        kept = tuple(lines)
        return cls(kept, path, _sections(kept, path))

    def to_bytes(self) -> bytes:
        """The file, byte for byte."""
        return "".join(self.lines).encode("latin-1")

    def where(self, line: int) -> SourceLine:
        """The place of a line in this file, for error messages."""
        return SourceLine(self.path, line)

    def edited(self, changes: Mapping[int, Mapping[str, str]]) -> CfgDocument:
        """Set options: {section number ([net] is 0): {key: value}}. Nothing else changes.

        A key that is there keeps its line, spacing and comment; a new one goes below the section's last option, in the
        section's own dialect.
        """
        lines = list(self.lines)
        inserted: list[tuple[int, str]] = []
        for number, options in changes.items():
            section = self.sections[number]
            for key, value in options.items():
                present = section.by_key.get(key)
                if present is not None:
                    lines[present.line - 1] = _with_value(lines[present.line - 1], value)
                else:
                    last = section.options[-1].line if section.options else section.line
                    inserted.append((last, _new_line(self.lines, section, key, value)))
        for after, line in sorted(inserted, key=lambda item: item[0], reverse=True):
            if not lines[after - 1].endswith("\n"):
                lines[after - 1] += "\n"
            lines.insert(after, line)
        return self._of_lines(lines, self.path)

    def written(self, number: int, key: str) -> str:
        """An option's value as it stands in the file: blanks inside it kept, those around it and any comment not."""
        line = self.lines[self.sections[number].by_key[key].line - 1]
        match = _VALUE.fullmatch(line.partition("=")[2])
        return match["value"] if match else ""

    def without(self, numbers: Iterable[int]) -> CfgDocument:
        """Drop whole sections ([net] is 0). Every other line stays as it is.

        A section is its lines down to its last option, the comments that touch these, and the blank lines below them.
        Further comments, and those that touch the next `[name]`, belong to the section that follows; below the last
        section there is none, and everything is its own.
        """
        starts = [*(self._start(number) for number in range(len(self.sections))), len(self.lines)]
        dropped = {line for number in set(numbers) for line in range(starts[number], starts[number + 1])}
        return self._of_lines((text for line, text in enumerate(self.lines) if line not in dropped), self.path)

    def with_section(self, number: int, name: str, options: Mapping[str, str]) -> CfgDocument:
        """Another section in the place of one, written in its dialect. Comments above it and all other lines stay."""
        section = self.sections[number]
        first = section.line - 1
        last = section.options[-1].line if section.options else section.line
        end = "\r\n" if self.lines[first].endswith("\r\n") else "\n"
        own = [f"[{name}]{end}", *(_new_line(self.lines, section, key, value) for key, value in options.items())]
        return self._of_lines((*self.lines[:first], *own, *self.lines[last:]), self.path)

    def _start(self, number: int) -> int:
        """Where the lines of a section begin, counted from 0: above its `[name]`, at the comments that belong to it."""
        if number == 0:
            return 0
        header = self.sections[number].line - 1
        kinds = [_line_kind(line) for line in self.lines[self.sections[number - 1].line:header]]
        top = max((place + 1 for place, kind in enumerate(kinds) if kind == "text"), default=0)
        if "blank" in kinds[top:]:
            top = kinds.index("blank", top)
            while top < len(kinds) and kinds[top] == "blank":
                top += 1
        return header - len(kinds) + top

    def commented_out(self, options: Iterable[Option]) -> CfgDocument:
        """Turn option lines into comments, so that no engine reads them and nothing is lost."""
        lines = list(self.lines)
        for option in options:
            lines[option.line - 1] = f"# {lines[option.line - 1]}"
        return self._of_lines(lines, self.path)


def _line_kind(line: str) -> Literal["blank", "comment", "text"]:
    """What a line is to a reader; as in `_sections`, blanks do not count."""
    text = line.translate(_BLANKS)
    return "blank" if not text else "comment" if text[0] in "#;\0" else "text"


def _sections(lines: tuple[str, ...], path: str) -> tuple[Section, ...]:
    found: list[tuple[str, int, list[Option]]] = []
    for number, raw in enumerate(lines, start=1):
        if number == 1:
            raw = raw.removeprefix(_BYTE_ORDER_MARK)
        text = raw.translate(_BLANKS)
        if not text or text[0] in "#;\0":
            continue
        if text[0] == "[":
            found.append((text[1:-1] if text.endswith("]") else text[1:], number, []))
            continue
        key, equals, value = text.partition("=")
        if not found:
            raise CfgError(SourceLine(path, number), f"'{_shown(text)}' stands before the first section",
                           "a cfg begins with [net]; is this a Darknet .cfg?")
        if equals:
            found[-1][2].append(Option(key, value, number))
        else:
            _logger.warning("%s:%d: '%s' is neither an option nor a comment; ignored, as Darknet does",
                            path, number, _shown(text))
    return tuple(Section(name, line, tuple(options)) for name, line, options in found)


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _with_value(line: str, value: str) -> str:
    head, _, tail = line.partition("=")
    match = _VALUE.fullmatch(tail)
    if match is None:  # a value with an inner line end cannot occur: lines are split at \n
        return f"{head}={value}\n"
    return f"{head}={match['before']}{value}{match['after']}"


def _new_line(lines: tuple[str, ...], section: Section, key: str, value: str) -> str:
    model = lines[(section.options[-1].line if section.options else section.line) - 1]
    end = "\r\n" if model.endswith("\r\n") else "\n"
    equals = " = " if " = " in model else "="
    return f"{key}{equals}{value}{end}"
