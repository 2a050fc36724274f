"""Words of messages that depend on a number."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 head`, `3 heads`, `2 classes`, `4 boxes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun[-1] in 'sx' else 's'}"
