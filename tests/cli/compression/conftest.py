"""What compress.py works on: the pairs and images of the pruning commands' tests."""

from tests.cli.pruning.conftest import data, pair, residual_pair

__all__ = ["data", "pair", "residual_pair"]
