"""The knee of a row of cuts: the last network up to which each halving of the parameters costs little."""

from __future__ import annotations

import math
from collections.abc import Sequence

PER_HALVING = 0.03
"""What a halving may cost, in mAP@0.5 or agreement."""


def knee(points: Sequence[tuple[int, float | None]], limit: float = PER_HALVING) -> int | None:
    """Which of `points` it is.

    Each network is held against one of twice its parameters, between two measured ones on the line between them (over the
    logarithm), or against the largest where none is so large; so cuts that lie close together need not be exact.

    Args:
        points: (parameters, quality), the largest network first.
        limit: of the quality, per halving.

    Returns:
        A place in `points`; 0 if already the first cut costs more. None for fewer than two points, or a quality that is
        None or NaN.
    """
    import numpy as np

    if len(points) < 2 or any(quality is None or math.isnan(quality) for _, quality in points):
        return None
    size, quality = np.array(sorted(((math.log2(parameters), q) for parameters, q in points))).T
    for place, (parameters, own) in enumerate(points):
        if np.interp(math.log2(parameters) + 1, size, quality) - own >= limit:
            return place - 1
    return len(points) - 1
