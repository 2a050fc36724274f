"""Whether a pruned student still has the teacher's filters that its plan says it has: the last check of a plan."""

from __future__ import annotations

import numpy as np

from utils.darknet import Network, Weights
from utils.pruning import Plan, apply_plan

DOUBTFUL = 0.6  # another plan of the same widths is near 0.3, the right one behind a repair near 1


def resemblance(plan: Plan, teacher: Network, weights: Weights, student: Network, cut: Weights) -> float | None:
    """Mean cosine between the student's filters and those that the plan keeps of the teacher's.

    A plan knows the cfg that it belongs to and not the weights, so one that keeps equally many but other channels fits as
    well. Filters tell: 1 behind a cut, a little less behind a repair or some training. Layers with a batch norm are compared.

    Args:
        weights, cut: of the teacher and of the student.

    Returns:
        None where the student's widths are those of no fold, so that filters cannot be told one from another.

    Raises:
        PlanError: as `apply_plan`.
    """
    for fold in ("beta", "exact"):
        expected = apply_plan(teacher, weights, plan, fold)[1]
        pairs = [(one["weight"], other["weight"]) for one, other in zip(expected.layers, cut.layers, strict=False)
                 if "gamma" in one and "gamma" in other]
        if len(expected.layers) == len(student.layers) and all(one.shape == other.shape for one, other in pairs):
            cosines = np.concatenate([_cosines(one, other) for one, other in pairs])
            return float(cosines.mean()) if len(cosines) else None
    return None


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Filter by filter, (filters, ...) each; those that are 0, as carriers are, left out."""
    one, other = one.reshape(len(one), -1), other.reshape(len(other), -1)
    length = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1)[length > 0] / length[length > 0]
