"""Precision and recall of one class as the confidence threshold sinks, and where to put that threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.detection.matching import Matches


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What one gets by keeping the detections whose score is at least `confidence`; all in [0, 1]."""

    confidence: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """The curve of a class that has labels: (d,) arrays, one value per detection, surest first.

    recall, precision: over the detections up to and including this one. `scores` descends.
    """

    scores: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @classmethod
    def of(cls, matches: Matches) -> PrecisionRecall:
        """The curve of one class.

        Raises:
            ValueError: the class has no labels, so recall means nothing.
        """
        if matches.labels < 1:
            raise ValueError("a class without labels has no recall; leave it out")
        right = np.cumsum(matches.correct)
        return cls(matches.scores, right / np.arange(1, len(right) + 1), right / matches.labels)

    @property
    def f1(self) -> np.ndarray:
        """(d,) harmonic mean of precision and recall; 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / np.where(total > 0, total, 1.0)

    def at(self, confidence: float) -> OperatingPoint:
        """The point of a threshold; with no detection left, precision and recall are 0, as Darknet has it."""
        count = int(np.searchsorted(-self.scores, -confidence, side="right"))
        return self._point(count - 1, confidence)

    def last(self) -> OperatingPoint:
        """All detections kept: what the ancestor prints as P and R. At conf=0.001 its precision is near 0."""
        return self._point(len(self.scores) - 1, float(self.scores[-1]) if len(self.scores) else 0.0)

    def best(self) -> OperatingPoint:
        """The threshold of the greatest F1; the highest one if several are."""
        if not len(self.scores):
            return self.last()
        f1 = np.where(_separable(self.scores), self.f1, -1.0)
        return self.at(float(self.scores[f1.argmax()]))

    def _point(self, index: int, confidence: float) -> OperatingPoint:
        if index < 0:
            return OperatingPoint(confidence, 0.0, 0.0, 0.0)
        return OperatingPoint(confidence, float(self.precision[index]), float(self.recall[index]),
                              float(self.f1[index]))


def best_common_confidence(curves: Sequence[PrecisionRecall]) -> float:
    """The one threshold for all classes at which the mean of their F1 is greatest.

    The highest one if several are; 0 if there are no detections at all.
    """
    scores = np.concatenate([np.zeros(0), *(curve.scores for curve in curves)])
    if not len(scores):
        return 0.0
    steps = np.concatenate([np.diff(curve.f1, prepend=0.0) for curve in curves])
    order = np.argsort(-scores, kind="stable")
    scores, total = scores[order], np.cumsum(steps[order])
    return float(scores[np.where(_separable(scores), total, -1.0).argmax()])


def _separable(scores: np.ndarray) -> np.ndarray:
    """(d,) bool: the last of each run of equal scores; a threshold cannot part the others from it."""
    return np.append(scores[1:] != scores[:-1], True)
