"""The commands that mend something, as a user would type them in the folder of this checkout."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

_SHOWN = 3  # files that one command corrects


@dataclass(frozen=True, slots=True)
class Files:
    """What the user named; a command that needs what was not named says MY.cfg, MY.weights or MY.data for it.

    img_size: (height, width) at which the network shall run, pixels; None for what the cfg says. t_cfg, t_weights: of a
    teacher.
    """

    cfg: Path | None = None
    weights: Path | None = None
    data: Path | None = None
    img_size: tuple[int, int] | None = None
    t_cfg: Path | None = None
    t_weights: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All that were named."""
        named = self.cfg, self.weights, self.data, self.t_cfg, self.t_weights
        return tuple(path for path in named if path is not None)

    @property
    def pair(self) -> tuple[object, ...]:
        """--cfg and --weights, and --img_size where it was named."""
        words = "--cfg", self.cfg or "MY.cfg", "--weights", self.weights or "MY.weights"
        return words if self.img_size is None else (*words, "--img_size", f"{self.img_size[1]},{self.img_size[0]}")

    @property
    def with_data(self) -> tuple[object, ...]:
        """`pair`, and --data."""
        return *self.pair, "--data", self.data or "MY.data"

    @property
    def with_known_data(self) -> tuple[object, ...]:
        """`pair`, and --data where it was named."""
        return self.pair if self.data is None else self.with_data

    @property
    def with_images(self) -> tuple[object, ...]:
        """`pair`, and what has images to repair on: --data where it was named."""
        return (*self.pair, "--images", "PICTURES") if self.data is None else self.with_data

    def at(self, height: int, width: int) -> Files:
        """The same with another --img_size."""
        return replace(self, img_size=(height, width))


def python(script: str, *words: object) -> str:
    """`python slim_prune.py --cfg my.cfg ...`, every word quoted where a shell would take it apart."""
    return shlex.join(["python", script, *map(str, words)])


def change_lines(path: str | Path, lines: Mapping[int, str]) -> str:
    """A command that puts other text on some lines (from 1) and leaves the file of before beside it as `.bak`."""
    script = ";".join(f"{number}s|.*|{text}|" for number, text in sorted(lines.items()))
    return shlex.join(["sed", "-i.bak", script, str(path)])


def delete_lines(path: str | Path, lines: Iterable[int]) -> str:
    """A command that takes lines (from 1) out of a file and leaves the file of before beside it as `.bak`."""
    return shlex.join(["sed", "-i.bak", ";".join(f"{number}d" for number in sorted(set(lines))), str(path)])


def delete_lines_of(files: Mapping[str, Iterable[int]]) -> str:
    """The same for several files; for the first three of many."""
    return " && ".join(delete_lines(path, lines) for path, lines in list(files.items())[:_SHOWN])


def open_at(path: str | Path, line: int) -> str:
    """A command that opens a file in the user's editor, at a line from 1."""
    return f"${{EDITOR:-vi}} +{line} {shlex.quote(str(path))}"
