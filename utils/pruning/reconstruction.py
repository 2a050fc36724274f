"""Reconstruction of one convolution: the kernel that gives, from the inputs that are left, what the old one gave.

A least-squares problem over positions of calibration images. Source: He, Zhang, Sun, Channel Pruning for Accelerating Very
Deep Neural Networks, ICCV 2017 (https://arxiv.org/abs/1707.06168); here the correction of the kept kernel is penalised, and
not the kernel, so that few positions do no harm. What runs the networks and measures the moments is training's affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Shares of the inputs' mean variance. Large ones hold a correction back where positions are few or alike, small ones let
# channels that depend on each other stand in for each other exactly.
RIDGES = (1e-1, 1e-2, 1e-3, 1e-5, 1e-8)


@dataclass(frozen=True, eq=False)
class Positions:
    """Places of a convolution's output on images: what it reads there, and what it should give.

    inputs: (m, groups, d), d being channels per group times taps of the kernel. targets: (m, groups, o), o being filters per
    group.
    """

    inputs: np.ndarray
    targets: np.ndarray

    def missed(self, kernel: np.ndarray, intercept: np.ndarray) -> float:
        """Share of the targets' variance that `kernel` (groups, o, d) and `intercept` (groups, o) miss; 0 is perfect."""
        kernel = kernel.astype(self.inputs.dtype, copy=False)
        given = np.matmul(self.inputs.transpose(1, 0, 2), kernel.transpose(0, 2, 1)).transpose(1, 0, 2) + intercept
        total = float(np.square(self.targets - self.targets.mean(axis=0)).sum())
        error = float(np.square(self.targets - given).sum())
        return error / total if total > 0 else float(error > 0)


@dataclass(frozen=True, eq=False)
class Moments:
    """What least squares needs to know of positions, for each group of a convolution.

    gram: covariance of the inputs, (groups, d, d). cross: covariance of inputs and targets, (groups, d, o).
    input_mean: (groups, d). target_mean: (groups, o). count: of positions.
    """

    gram: np.ndarray
    cross: np.ndarray
    input_mean: np.ndarray
    target_mean: np.ndarray
    count: int

    @classmethod
    def of(cls, positions: Positions) -> Moments:
        """In float64."""
        x, y = positions.inputs.astype(np.float64), positions.targets.astype(np.float64)
        input_mean, target_mean = x.mean(axis=0), y.mean(axis=0)
        x, y = (x - input_mean).transpose(1, 0, 2), (y - target_mean).transpose(1, 0, 2)
        turned, count = x.transpose(0, 2, 1), len(positions.inputs)
        return cls(turned @ x / count, turned @ y / count, input_mean, target_mean, count)


@dataclass(frozen=True, eq=False)
class Correction:
    """A corrected kernel. kernel: (groups, o, d). intercept: (groups, o), to add to what the kernel gives.

    residual: share of the targets' variance that is still missed, on positions that had no part in the solution.
    before: the same share for the kernel as it was, with its own best intercept. ridge: the penalty that was chosen.
    """

    kernel: np.ndarray
    intercept: np.ndarray
    residual: float
    before: float
    ridge: float


def solved(moments: Moments, kernel: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """The kernel K + D and the intercept b that minimise |y - (K + D) x - b|^2 + ridge * mean(diag gram) * |D|^2.

    Args:
        kernel: K, (groups, o, d).
        ridge: 0 or more; with 0 and inputs that depend on each other the smallest D is taken.

    Returns:
        (groups, o, d) and (groups, o), in the precision of the moments.
    """
    result = np.empty(kernel.shape, dtype=moments.gram.dtype)
    for group, (gram, cross) in enumerate(zip(moments.gram, moments.cross, strict=True)):
        own = kernel[group].astype(gram.dtype)
        result[group] = own + _ridge_solution(gram, cross - gram @ own.T, ridge).T
    return result, _intercept(moments, result)


def corrected(moments: Moments, held_out: Positions, kernel: np.ndarray,
              ridges: Sequence[float] = RIDGES) -> Correction:
    """Solve with several penalties and take the one that misses least on positions that had no part in the solution.

    Where none is better than the kernel as it is, only the intercept is corrected. A penalty that misses more than the one
    before it is the last: to solve is what costs time, and smaller ones would only fit chance closer.

    Args:
        kernel: the kept kernel, (groups, o, d). ridges: the largest first.
    """
    intercept = _intercept(moments, kernel)
    before = held_out.missed(kernel, intercept)
    best, last = Correction(kernel, intercept, before, before, np.inf), np.inf
    for ridge in ridges:
        new, intercept = solved(moments, kernel, ridge)
        residual = held_out.missed(new, intercept)
        if not residual < last:
            break
        last = residual
        if residual < best.residual:
            best = Correction(new, intercept, residual, before, ridge)
    return best


def _intercept(moments: Moments, kernel: np.ndarray) -> np.ndarray:
    """The best constant beside a kernel."""
    return moments.target_mean - np.einsum("god,gd->go", kernel, moments.input_mean)


def _ridge_solution(gram: np.ndarray, missing: np.ndarray, ridge: float) -> np.ndarray:
    """(gram + ridge * mean(diag))^-1 missing; the smallest solution where there is no inverse."""
    size = float(np.trace(gram)) / len(gram)
    if size <= 0:
        return np.zeros_like(missing)
    system = gram.copy()
    system[np.diag_indices_from(system)] += ridge * size
    if ridge > 0:
        try:
            return np.linalg.solve(system, missing)
        except np.linalg.LinAlgError:
            pass
    return np.linalg.lstsq(system, missing, rcond=None)[0]
