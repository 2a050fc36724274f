"""The flags of doctor.py."""

from __future__ import annotations

from pathlib import Path

from utils.cli.arguments import CommandParser, basic_arguments, fraction, network_size_argument
from utils.cli.exit_codes import exit_codes


def doctor_arguments(description: str | None) -> CommandParser:
    """All flags; none is required."""
    parser = CommandParser(prog="doctor.py", description=description, parents=[basic_arguments()], epilog=exit_codes(
        bug="something is wrong with what it looked at; or a bug of Bonsai's, with its traceback"))
    group = parser.add_argument_group("what to look at")
    group.add_argument("--cfg", type=Path, metavar="FILE", help="network description (.cfg)")
    group.add_argument("--weights", type=Path, metavar="FILE", help="trained weights that belong to the cfg (.weights); a .pt file, too")
    group.add_argument("--data", type=Path, metavar="FILE", help="data description (.data): classes, train, valid, names")
    network_size_argument(group)
    group.add_argument("--percent", "--global_percent", type=fraction, metavar="SHARE",
                       help="share of all prunable channels to remove; do the gammas allow this cut of slim_prune.py?")
    group.add_argument("--t_cfg", type=Path, metavar="FILE", help="cfg of the teacher; can it teach this network?")
    group.add_argument("--t_weights", type=Path, metavar="FILE", help="its weights (.weights or .pt)")
    output = parser.add_argument_group("output")
    output.add_argument("--save-json", "--json", type=Path, metavar="FILE", help="write all that was found to FILE as JSON")
    return parser
