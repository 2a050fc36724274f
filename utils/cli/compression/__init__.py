"""compress.py: its flags, its targets, and the way from a pair to a smaller one in rounds."""

from utils.cli.compression.arguments import compression_arguments
from utils.cli.compression.run import run_compression

__all__ = ["compression_arguments", "run_compression"]
