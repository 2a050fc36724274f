"""Everything Bonsai raises on purpose.

BonsaiError
├── CfgError           a .cfg cannot mean anything               (path:line)
├── WeightsError       a .weights file does not fit its cfg      (path)
├── DataError          a data file, image or label is unusable   (path:line)
├── PlanError          a plan asks for the impossible
├── TargetError        no plan reaches the budget            (asked, best reached)
├── OptionError        a command line asks for the impossible
├── OutputError        a result cannot be written                (path)
└── EngineError        an engine is missing or cannot run a cfg
    └── VerificationError   two engines disagree about a written pair

Commands catch `BonsaiError`, print one line and exit with 2. Any other exception is our bug and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A place in a text file; `line` counts from 1, as editors do, and 0 means the file as a whole."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


class BonsaiError(Exception):
    """Where it is, what is wrong, what to do: the form of every message."""

    def __init__(self, where: SourceLine | Path | str, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}; {remedy}" if str(where) else f"{problem}; {remedy}")
        self.where, self.problem, self.remedy = where, problem, remedy

    def __reduce__(self) -> tuple[type[BonsaiError], tuple[SourceLine | Path | str, str, str]]:
        """How an error travels from one process to another: whole."""
        return type(self), (self.where, self.problem, self.remedy)


class CfgError(BonsaiError):
    """A .cfg that cannot mean anything."""


class WeightsError(BonsaiError):
    """A .weights file that cannot be read, or does not fit its cfg."""


class DataError(BonsaiError):
    """A .data, .names, list, label or image file that cannot be used."""


class PlanError(BonsaiError):
    """A pruning plan that no network, or not this network, could follow."""


class TargetError(BonsaiError):
    """A budget that no plan reaches, or that the network meets already."""


class OptionError(BonsaiError):
    """A command-line option whose value makes no sense here."""


class OutputError(BonsaiError):
    """A result that cannot be written where it was asked for."""


class EngineError(BonsaiError):
    """An inference engine that is missing, or that cannot run a cfg."""


class VerificationError(EngineError):
    """Two engines that compute different numbers from the same pair."""
