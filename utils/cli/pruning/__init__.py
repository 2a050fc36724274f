"""The body that all pruning commands share: their flags, and the one way from a pair to a smaller pair."""

from utils.cli.pruning.arguments import channel_arguments, pruning_arguments
from utils.cli.pruning.run import run_pruning

__all__ = ["channel_arguments", "pruning_arguments", "run_pruning"]
