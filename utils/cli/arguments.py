"""The flags that commands share: the same words, defaults and help everywhere.

A command says `CommandParser(description=__doc__, parents=[model_arguments(), data_arguments()])`. Every flag may be
typed with hyphens or with underscores (`--img_size`, `--img-size`), whichever way it was declared.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from utils.cli.exit_codes import BAD_INPUT, exit_codes
from utils.cli.version import version

LETTERBOX_CHOICES = ("auto", "yes", "no")
ENGINES = ("torch", "opencv", "onnxruntime", "darknet")


class CommandParser(argparse.ArgumentParser):
    """An ArgumentParser for commands: flags in either spelling, no abbreviations, errors in one line, exit codes told."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", _Help)
        kwargs.setdefault("epilog", exit_codes())
        super().__init__(*args, **kwargs)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]  # argparse has two signatures here
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._declared(str(word)) for word in words], namespace)

    def _declared(self, word: str) -> str:
        """The word with its flag spelled as it was declared; anything that is no flag of ours comes back unchanged."""
        flag, equals, value = word.partition("=")
        if not flag.startswith("--") or flag in self._option_string_actions:
            return word
        plain = flag[2:].replace("-", "_")
        for known in self._option_string_actions:
            if known.startswith("--") and known[2:].replace("-", "_") == plain:
                return known + equals + value
        return word

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"error: {message} (see {self.prog} --help)\n")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Docstrings keep their line breaks; help texts end with their default, where there is one to tell."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        if text and "default" not in text and action.option_strings and action.default is not argparse.SUPPRESS \
                and action.default not in (None, False, 0, ()):
            text += " (default: %(default)s)"
        return text


# -- types ------------------------------------------------------------------------------------------------------------

def fraction(text: str) -> float:
    """argparse type: a share in [0, 1)."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number; write 0.8 for 80 %") from None
    if not 0 <= value < 1:
        hint = f"; write {value / 100:g} for {value:g} %" if 1 < value < 100 else "; write 0.8 for 80 %"
        raise argparse.ArgumentTypeError(f"{text} is not a share in [0, 1){hint}")
    return value


def positive_int(text: str) -> int:
    """argparse type: a whole number, 1 or more."""
    return _whole_number(text, 1)


def non_negative_int(text: str) -> int:
    """argparse type: a whole number, 0 or more."""
    return _whole_number(text, 0)


def _whole_number(text: str, smallest: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number; write {smallest} or more") from None
    if value < smallest:
        raise argparse.ArgumentTypeError(f"{text} is too small; write {smallest} or more")
    return value


def finite(text: str) -> float:
    """argparse type: a number, neither infinite nor NaN."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def positive(text: str) -> float:
    """argparse type: a number above 0."""
    value = finite(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is too small; write a number above 0")
    return value


def non_negative(text: str) -> float:
    """argparse type: a number, 0 or more."""
    value = finite(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is too small; write 0 or more")
    return value


def seed(text: str) -> int:
    """argparse type: a whole number that all random generators take, 0 to 2**32 - 1."""
    value = non_negative_int(text)
    if value >= 2**32:
        raise argparse.ArgumentTypeError(f"{text} is too large; write a number below 4294967296")
    return value


def thread_count(text: str) -> int:
    """argparse type: 1 to 1024 threads."""
    value = positive_int(text)
    if value > 1024:
        raise argparse.ArgumentTypeError(f"{text} are more threads than any machine runs well; write the number of cores")
    return value


def size(text: str) -> tuple[int, int]:
    """argparse type: `416`, `416,320` or `416x320`, width first as a cfg writes it -> (height, width), pixels."""
    numbers = re.fullmatch(r"\s*(\d+)(?:\s*[,xX]\s*(\d+))?\s*", text)
    if numbers is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 416, or 416,320 for 416 wide and 320 high")
    width = int(numbers[1])
    height = int(numbers[2] or width)
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise argparse.ArgumentTypeError(f"{text} is not a size between 1 and 16384 pixels; write 416 or 416,320")
    return height, width


class _Size(argparse.Action):
    """Takes one word (`416`, `416,320`) or two (`416 320`) and stores (height, width)."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        try:
            if len(values) > 2:
                raise argparse.ArgumentTypeError(f"{' '.join(values)!r} are {len(values)} numbers; write one or two")
            setattr(namespace, self.dest, size(",".join(values)))
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from None


# -- groups -----------------------------------------------------------------------------------------------------------

def basic_arguments() -> argparse.ArgumentParser:
    """-v, -q, --version: what every command understands, also one that only writes files."""
    parser = argparse.ArgumentParser(add_help=False)
    loud = parser.add_mutually_exclusive_group()
    loud.add_argument("-v", "--verbose", action="count", default=0, help="say more")
    loud.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no remarks")
    parser.add_argument("--version", action="version", version=version(), help="show the version and exit")
    return parser


def common_arguments() -> argparse.ArgumentParser:
    """--device, --threads, --seed, and `basic_arguments`: what every command that computes understands."""
    parser = argparse.ArgumentParser(add_help=False, parents=[basic_arguments()])
    group = parser.add_argument_group("running")
    group.add_argument("--device", default="auto", metavar="NAME",
                       help="cpu, cuda, cuda:1, or auto: a GPU where there is one")
    group.add_argument("--threads", type=thread_count, metavar="N", help="CPU threads (default: all cores)")
    seed_argument(group)
    return parser


def seed_argument(group: argparse._ActionsContainer) -> None:
    """Add --seed to a parser or a group of one."""
    group.add_argument("--seed", type=seed, default=0, metavar="N", help="of all random choices")


def model_arguments(*, weights: bool = True) -> argparse.ArgumentParser:
    """--cfg, --weights, --img_size, and all of `common_arguments`.

    `args.img_size` is (height, width), or None for the size that the cfg gives.
    """
    parser = argparse.ArgumentParser(add_help=False, parents=[common_arguments()])
    group = parser.add_argument_group("model")
    group.add_argument("--cfg", type=Path, required=True, metavar="FILE", help="network description (.cfg)")
    if weights:
        group.add_argument("--weights", type=Path, required=True, metavar="FILE",
                           help="trained weights that belong to the cfg (.weights)")
    network_size_argument(group)
    return parser


def network_size_argument(group: argparse._ArgumentGroup) -> None:
    """Add --img_size to a group; (height, width), or None for the size that the cfg gives."""
    group.add_argument("--img_size", action=_Size, nargs="+", metavar="PIXELS",
                       help="network input: 416, or width and height as 416,320 (default: as the cfg says)")


def data_arguments(*, required: bool = True) -> argparse.ArgumentParser:
    """--data, --batch-size, --letterbox, --workers."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("data")
    group.add_argument("--data", type=Path, required=required, metavar="FILE",
                       help="data description (.data): classes, train, valid, names")
    group.add_argument("--batch-size", type=positive_int, default=8, metavar="N", help="images per forward pass")
    letterbox_argument(group)
    group.add_argument("--workers", type=non_negative_int, default=2, metavar="N",
                       help="how many read images while the network computes; 0 reads in between")
    return parser


def letterbox_argument(group: argparse._ArgumentGroup) -> None:
    """Add --letterbox to a group."""
    group.add_argument("--letterbox", choices=LETTERBOX_CHOICES, nargs="?", const="yes", default="auto",
                       help="keep an image's shape and pad it with grey (yes), stretch it (no), or as letter_box= in "
                            "the cfg's [net] says (auto)")


def engine_argument(parser: argparse._ActionsContainer) -> None:
    """Add --engine to a parser or a group of one: which program computes the network."""
    parser.add_argument("--engine", choices=ENGINES, default="torch", help="what computes the network")


def letterboxed(choice: str, of_the_cfg: bool) -> bool:
    """What `--letterbox auto|yes|no` means for a cfg whose [net] says `letter_box=` so."""
    return of_the_cfg if choice == "auto" else choice == "yes"
