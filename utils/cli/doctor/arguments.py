"""The flags of doctor.py."""

from __future__ import annotations

from pathlib import Path

from utils.cli.arguments import CommandParser, fraction
from utils.cli.version import version


def doctor_arguments(description: str | None) -> CommandParser:
    """All flags; none is required."""
    parser = CommandParser(prog="doctor.py", description=description)
    group = parser.add_argument_group("what to look at")
    group.add_argument("--cfg", type=Path, metavar="FILE", help="network description (.cfg)")
    group.add_argument("--weights", type=Path, metavar="FILE", help="weights that should belong to it (.weights, .pt)")
    group.add_argument("--data", type=Path, metavar="FILE", help="data description (.data): classes, train, valid, names")
    group.add_argument("--percent", "--global_percent", type=fraction, metavar="SHARE",
                       help="the cut that is wanted, as slim_prune.py's --global_percent: does it fit the gammas?")
    output = parser.add_argument_group("output")
    output.add_argument("--json", type=Path, metavar="FILE", help="write all findings to FILE, too")
    output.add_argument("-q", "--quiet", action="store_true", help="only what is not fine, and no progress bar")
    output.add_argument("--version", action="version", version=version())
    return parser
