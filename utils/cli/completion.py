"""Completion of flags and choices by the Tab key, where argcomplete is installed and a shell asks for it.

    pip install argcomplete && activate-global-python-argcomplete

Chosen over shtab and click's own: it completes `python train.py --<TAB>`, where the shell sees no command but `python`,
and a command that nobody completes never imports it.
"""

from __future__ import annotations

import argparse
import os


def complete_for_the_shell(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and leave the process, if it was started by the Tab key; else do nothing, at no cost."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:  # the shell has it, this environment has not: no answer is better than a traceback at the prompt
        return
    argcomplete.autocomplete(parser)
