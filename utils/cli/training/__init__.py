"""train.py: its flags, and the way from them to a run on disk."""

from utils.cli.training.arguments import training_parser
from utils.cli.training.run import run_training

__all__ = ["run_training", "training_parser"]
