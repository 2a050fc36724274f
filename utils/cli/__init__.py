"""What commands share: flags, types, exit codes, progress bars, the choice of a device."""

from utils.cli.arguments import (
    CommandParser,
    basic_arguments,
    common_arguments,
    data_arguments,
    engine_argument,
    fraction,
    letterboxed,
    model_arguments,
    non_negative_int,
    positive_int,
    size,
)
from utils.cli.device import prepare_process, select_device
from utils.cli.progress import progress_bar
from utils.cli.run import run_command

__all__ = [
    "CommandParser",
    "basic_arguments",
    "common_arguments",
    "data_arguments",
    "engine_argument",
    "fraction",
    "letterboxed",
    "model_arguments",
    "non_negative_int",
    "positive_int",
    "prepare_process",
    "progress_bar",
    "run_command",
    "select_device",
    "size",
]
