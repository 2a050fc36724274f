"""Where a pruning command writes, and the pair itself: the names of its results, and errors that name no staging place."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli.outputs import input_files
from utils.errors import BonsaiError, OptionError, OutputError

if TYPE_CHECKING:
    from utils.darknet import Network, Weights


@dataclass(frozen=True)
class Outputs:
    """The files that a command writes; None for those that nobody asked for."""

    cfg: Path
    weights: Path
    json: Path
    page: Path | None = None
    picture: Path | None = None
    plan: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that will be there."""
        return tuple(path for path in vars(self).values() if path is not None)

    @property
    def pair(self) -> tuple[Path, Path]:
        """The new cfg and weights."""
        return self.cfg, self.weights

    def at(self, places: tuple[Path, ...]) -> Outputs:
        """The same files at other places, given in the order of `files`."""
        names = [name for name, path in vars(self).items() if path is not None]
        return Outputs(**dict(zip(names, places, strict=True)))


def outputs_of(args: argparse.Namespace, prefix: str) -> Outputs:
    """The new pair and its reports: beside the inputs or in --out, under the ancestor's names.

    Raises:
        OptionError: an input would be overwritten, or two results would be one file.
        OutputError: a result's place is a folder, or its folder is a file.
    """
    cfg = (args.out or args.cfg.parent) / f"{prefix}{args.cfg.name}"
    weights = (args.out or args.weights.parent) / f"{prefix}{args.weights.stem}.weights"
    stem = cfg.name.removesuffix(".cfg")
    page = None if args.report is None else args.report if args.report.name else cfg.with_name(f"{stem}.html")
    picture = page and page.with_name(f"{page.name.removesuffix('.html')}.png")
    outputs = Outputs(cfg, weights, cfg.with_name(f"{stem}.json"), page, picture, args.plan_out)
    inputs = input_files(args.cfg, args.weights, args.plan_in, data=args.data)
    taken = set(inputs)
    for name, path in vars(outputs).items():
        if path is None:
            continue
        place, flag = path.resolve(), {"page": "--report", "picture": "--report", "plan": "--plan-out"}.get(name, "--out")
        if flag == "--plan-out" and place in taken:
            raise OptionError(flag, f"{path} would overwrite an input or another result", "name another file")
        if place in inputs:
            raise OptionError(flag, f"{path} would overwrite an input", "choose another folder")
        if place in taken and flag == "--out":
            raise OptionError("--cfg", f"its name makes {cfg}, {weights} and {outputs.json} one file", "rename the inputs")
        if place in taken:
            raise OptionError(flag, f"{path} would overwrite another result", "name another file")
        taken.add(place)
        _check_place(place)
    return outputs


def _check_place(path: Path) -> None:
    if path.is_dir():
        raise OutputError(path, "is a folder, not a file", "choose another place with --out")
    there = next(place for place in path.parents if place.exists())
    if not there.is_dir():
        raise OutputError(there, "is a file, not a folder", "choose another one")


@contextmanager
def final_names(names: Mapping[str, Path]) -> Iterator[None]:
    """Errors inside the block name files as users know them, not by their staging places."""
    try:
        yield
    except BonsaiError as error:
        parts = [renamed(str(part), names) for part in (error.where, error.problem, error.remedy)]
        raise type(error)(*parts) from error


def renamed(text: str, names: Mapping[str, Path]) -> str:
    """The text with each staging place in it replaced by the file's final name."""
    for staged, final in names.items():
        text = text.replace(staged, str(final))
    return text


def write_pair(network: Network, weights: Weights, pair: tuple[Path, Path], seen: int | None = 0) -> None:
    """Write cfg and weights; `seen` goes into the header."""
    from utils.darknet import write_cfg, write_weights

    write_cfg(pair[0], network)
    write_weights(pair[1], network, weights, seen=seen)
