"""What was measured of a network's activations on calibration images, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ActivationStatistics:
    """Second moments over images and places; float64.

    covariances: of what each source of a convolution gives, {layer or IMAGE: (C, C)}.
    responses: variance of what each convolution gives before batch norm, {layer: (filters,)}.
    variances: of what each summand of a [shortcut] gives, {layer: (C,)}.
    """

    covariances: Mapping[int, np.ndarray]
    responses: Mapping[int, np.ndarray]
    variances: Mapping[int, np.ndarray]
