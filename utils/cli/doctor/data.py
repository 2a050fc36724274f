"""Checks of a .data file: its keys, its names, and its number of classes against the heads of the cfg."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from utils.cli.doctor.commands import change_lines
from utils.cli.doctor.finding import Finding, attempted, fine, look, wrong
from utils.darknet import DataFile, Network, lines_for_classes, read_data, read_names
from utils.wording import counted

_EXAMPLES = {"train": "data/train.txt", "valid": "data/valid.txt", "names": "data/my.names"}


@dataclass(frozen=True)
class Described:
    """What a .data file and its .names file say. classes: None where neither tells."""

    data: DataFile
    names: tuple[str, ...] | None

    @property
    def classes(self) -> int | None:
        """As many as there are names, else as classes= says."""
        return len(self.names) if self.names is not None else self.data.classes


def read_described(path: Path) -> tuple[Described | None, list[Finding]]:
    """The .data file and its names, None where it cannot be read, and what there is to say about reading them."""
    found: list[Finding] = []
    data = attempted("data", lambda: read_data(path), found)
    if data is None:
        return None, found
    absent = [key for key in _EXAMPLES if getattr(data, key) is None]
    if absent:
        lines = "\\n".join(f"{key}={_EXAMPLES[key]}" for key in absent)
        found.append(wrong("data", f"{path} does not say {', '.join(f'{key}=' for key in absent)}",
                           f"printf '\\n{lines}\\n' >> {shlex.quote(str(path))}"))
    else:
        found.append(fine("data", f"{path} names train=, valid= and names="))
    names = attempted("names", partial(read_names, data.names), found) if data.names is not None else None
    return Described(data, names), found


def is_for(network: Network, path: Path) -> bool:
    """Whether all heads know as many classes as a .data file; False where it cannot be read or does not say."""
    described, _ = read_described(path)
    return described is not None and described.classes is not None and not lines_for_classes(network, described.classes)


def check_data(described: Described, network: Network | None) -> Iterator[Finding]:
    """classes= against names, names against heads, and the folder that Darknet saves to."""
    if described.names is not None:
        yield _check_names(described.data, described.names)
    if network is not None and network.heads and described.classes is not None:
        yield _check_classes(described.data, described.classes, network)
    backup = described.data.backup
    if backup is not None and not backup.is_dir():
        yield look("backup", f"{described.data.path} says backup={backup}, and there is no such folder: Darknet cannot save "
                   "what it trains", shlex.join(["mkdir", "-p", str(backup)]))


def _check_names(data: DataFile, names: tuple[str, ...]) -> Finding:
    if data.classes is not None and data.classes != len(names):
        line = _line_of(data.path, "classes")
        return wrong("names", f"{data.path}:{line} says classes={data.classes}, but {data.names} has "
                     f"{counted(len(names), 'name')}",
                     change_lines(data.path, {line: f"classes={len(names)}"}))
    empty = [number for number, name in enumerate(names, start=1) if not name]
    twice = [name for name, times in Counter(filter(None, names)).items() if times > 1]
    if empty:
        return look("names", f"{data.names}:{empty[0]} is an empty line, and counts as the name of class {empty[0] - 1}")
    if twice:
        return look("names", f"{data.names}: {twice[0]!r} stands there more than once, so two classes look like one")
    return fine("names", f"{data.names}: {counted(len(names), 'name')}"
                         + ("" if data.classes is None else ", as classes= says"))


def _check_classes(data: DataFile, classes: int, network: Network) -> Finding:
    changes = lines_for_classes(network, classes)
    if not changes:
        return fine("classes", f"the heads know {classes}, as the data")
    knows = next(head.options.classes for head in network.heads if head.options.classes != classes)
    return wrong("classes", f"the heads of {network.path} know {counted(knows, 'class')}, {data.path} has {classes}: "
                 f"{counted(len(changes), 'line')} to change, and the weights then begin anew before the heads",
                 change_lines(network.path, changes))


def _line_of(path: Path, key: str) -> int:
    """The line, from 1, on which a key of a .data file stands first."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    return next(number for number, line in enumerate(lines, start=1) if "".join(line.split()).startswith(f"{key}="))
